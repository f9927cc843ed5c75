package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

func nodeFenceCommand() *cobra.Command {
	var n network
	return n.command("fence NAME", "Without a majority: have the nodes that are left refuse one that is lost for good", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		out, err := cl.NodeFence(ctx, args[0])
		if err != nil {
			return err
		}
		return n.print(c, out, func() {
			c.Printf("%s is refused by %s from now on, for good. It must never be started again.\n", out.Name, strings.Join(out.Told, ", "))
			if len(out.NotTold) > 0 {
				c.Printf("%s did not answer. Fence each of them that is lost, too.\n", strings.Join(out.NotTold, ", "))
			}
			c.Println("When every lost node is fenced, the quorum can be lowered. Step by step:\n    unibusd guide rescue")
		})
	})
}

func nodeRescueCommand() *cobra.Command {
	var n network
	var quorum string
	c := n.command("rescue --quorum N", "Without a majority: lower the quorum to the nodes that are left, and remove the fenced ones", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		number, err := parseQuorum(quorum)
		if err != nil {
			return err
		}
		out, err := cl.NodeRescue(ctx, number)
		if err != nil {
			return err
		}
		return n.print(c, out, func() {
			c.Printf("%s %s removed. %s: the meta group has %d members, and needs %d of them.\n",
				strings.Join(out.Removed, ", "), map[bool]string{true: "was", false: "were"}[len(out.Removed) == 1], strings.Join(out.Survivors, ", "), out.Meta.Size, out.Meta.Needed)
			if loss := cluster.LossSentences(out.Node, out.Loss); loss != "" {
				c.Println(loss)
			}
			c.Println("Every bucket has a leader. Changes that only the removed nodes had are lost. Add nodes until every bucket has its replicas:\n    unibusd guide rescue")
		})
	})
	c.Flags().StringVar(&quorum, "quorum", "", "how many nodes are left: without the right number the quorum is not lowered")
	return c
}

// parseQuorum reads a number that the guide leaves to be typed. Without one the node says
// which it would be.
func parseQuorum(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, core.Errorf(core.KindInvalid, "--quorum %q is not a number of nodes", text).WithNext("give the number of nodes that are left: unibusd guide rescue")
	}
	return n, nil
}
