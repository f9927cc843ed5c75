package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

func nodeCommand() *cobra.Command {
	return cli.Group("node", "List the nodes, add and remove one, and replace one that is lost",
		nodeListCommand(), nodeAddCommand(), nodeRemoveCommand(), nodeReplaceCommand())
}

// nodeList is what `node list --json` prints.
type nodeList struct {
	Nodes   []cluster.Node          `json:"nodes"`
	Removed []core.NodeChange       `json:"removed,omitempty"`
	Unknown []cluster.UnknownServer `json:"unknown_servers,omitempty"`
	Meta    cluster.Meta            `json:"meta"`
}

func nodeListCommand() *cobra.Command {
	var n network
	return n.command("list", "List the nodes with their state, and those that were removed", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		return n.print(c, nodeList{st.Nodes, st.Removed, st.Unknown, st.Meta}, func() { nodesText(c, st) })
	})
}

func nodesText(c *cobra.Command, st admin.Status) {
	table(c, "NODE\tSTATE\tMETA GROUP\tLEADS\tADDRESS\tVERSION", func(print func(string, ...any)) {
		for _, node := range st.Nodes {
			listen := "–"
			if node.Info != nil {
				listen = node.Info.Listen
			}
			print("%s\t%s\t%s\t%s\t%s\t%s", node.Name, nodeState(node), orDash(node.Meta), dash(node.Leads), listen, orDash(node.Version))
		}
		for _, peer := range st.Meta.OrphanPeers {
			print("%s\tno node, counts in the quorum\tmember\t–\t–\t–", peer)
		}
	})
	for _, r := range st.Removed {
		c.Printf("\n%s was removed by %s on %s", r.Name, text(&r.By), r.At.Time().UTC().Format(time.DateTime))
	}
	if len(st.Removed) > 0 {
		c.Println()
	}
	c.Printf("\nThe meta group has %d members, and needs %d of them.\n", st.Meta.Size, st.Meta.Needed)
}

func nodeState(n cluster.Node) string {
	switch {
	case n.Online && n.Off:
		return "up, JetStream is off"
	case n.Online:
		return "up"
	case n.HeardMS < 0:
		return "never heard"
	}
	return "silent for " + (time.Duration(n.HeardMS) * time.Millisecond).Round(time.Second).String()
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func nodeAddCommand() *cobra.Command {
	var n network
	return n.command("add NAME", "Have every node accept a node of a new name", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		out, err := cl.NodeAdd(ctx, args[0])
		if err != nil {
			return err
		}
		return n.print(c, out, func() {
			c.Printf("%s is accepted by %s.\n", out.Name, strings.Join(out.Told, ", "))
			printNotTold(c, out)
			c.Printf("Start unibusd on its machine with --name %s. Its --routes list the nodes that run, and itself.\n", out.Name)
		})
	})
}

func nodeRemoveCommand() *cobra.Command {
	var n network
	return n.command("remove NAME", "Take a node that is down out of every group, for good", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		out, err := cl.NodeRemove(ctx, args[0])
		if err != nil {
			return err
		}
		return n.print(c, out, func() { printNodeRemoved(c, out) })
	})
}

func printNodeRemoved(c *cobra.Command, out admin.NodeChanged) {
	c.Printf("%s was removed. It has no replica and no vote any more, and its name is refused from now on.\n", out.Name)
	printNotTold(c, out)
	c.Printf("The meta group has %d members, and needs %d of them.\n", out.Meta.Size, out.Meta.Needed)
	c.Printf("Take %s out of the configuration files of the other nodes when you next change them.\n", out.Name)
}

func printNotTold(c *cobra.Command, out admin.NodeChanged) {
	if len(out.NotTold) > 0 {
		c.Printf("%s did not answer. A node learns it from the others as soon as it is connected to one of them.\n", strings.Join(out.NotTold, ", "))
	}
}

func nodeReplaceCommand() *cobra.Command {
	var n network
	var within time.Duration
	c := n.command("replace OLD NEW", "Let a node of a new name take the place of one that is lost", []string{"OLD", "NEW"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		out, err := replaceNode(ctx, cl, args[0], args[1], c.PrintErrln)
		if err != nil {
			return err
		}
		return n.print(c, out, func() {
			printNodeRemoved(c, out)
			c.Printf("%s has a current replica of every bucket.\n", args[1])
		})
	})
	c.Flags().DurationVar(&within, "timeout", 15*time.Minute, "how long to wait for NEW to be started, and for its replicas")
	return c
}

// replaceNode adds a node, waits until it is a member, and removes another one. Each step
// that was done before is left out, so that an interrupted call is completed by the same call.
func replaceNode(ctx context.Context, cl *admin.Client, old, next string, say func(...any)) (admin.NodeChanged, error) {
	none := admin.NodeChanged{}
	if old == next {
		return none, core.Errorf(core.KindInvalid, "%s cannot take its own place", old).WithNext("a lost machine comes back under a new name: unibusd node replace %s NEW", old)
	}
	st, err := cl.Status(ctx)
	if err != nil {
		return none, err
	}
	if why := cluster.RemovalUnsafe(st.View, old); why != "" {
		return none, core.Errorf(core.KindRefused, "%s was not replaced: %s", old, why).WithNext("look at the cluster: unibus-tui status")
	}
	if _, err := cl.NodeAdd(ctx, next); err != nil && core.KindOf(err) != core.KindExists {
		return none, err
	}
	said := ""
	if err := awaitStatus(ctx, cl, func(st admin.Status) string {
		left := joinPending(st.View, next)
		if left != "" && left != said {
			said = left
			say("waiting: " + left)
		}
		return left
	}); err != nil {
		return none, err
	}
	say("removing " + old)
	return cl.NodeRemove(ctx, old)
}

// joinPending says what is left until a node is a member of the cluster; "" if nothing is.
func joinPending(v cluster.View, name string) string {
	for _, n := range v.Nodes {
		switch {
		case n.Name != name:
		case !n.Online:
			return name + " does not answer. Start unibusd on its machine with --name " + name
		case n.Off || n.Meta == "" || v.Meta.Leader == "":
			return name + " answers, and is not in the meta group yet"
		default:
			return ""
		}
	}
	return name + " has never answered. Start unibusd on its machine with --name " + name + ", and --routes to the nodes that run"
}

// awaitStatus asks until pending returns "", or ctx ends: KindUnavailable.
func awaitStatus(ctx context.Context, cl *admin.Client, pending func(admin.Status) string) error {
	left := "no node has answered"
	for {
		if st, err := cl.Status(ctx); err == nil {
			if left = pending(st); left == "" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return core.Errorf(core.KindUnavailable, "the replacement is not complete: %s", left).WithNext("the same command continues it")
		case <-time.After(time.Second):
		}
	}
}
