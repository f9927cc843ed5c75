package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

func nodeDrainCommand() *cobra.Command {
	var n network
	var last time.Duration
	c := n.command("drain NAME", "Have a node lead nothing and serve no users for a while", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		if err := core.CheckMaintenance(last); err != nil {
			return err
		}
		out, err := cl.NodeDrain(ctx, args[0], last)
		if err != nil {
			return err
		}
		return n.print(c, out, func() { printDrained(c, out) })
	})
	c.Flags().DurationVar(&last, "for", core.DefaultMaintenance, "how long the maintenance lasts; run the command again to change it")
	return c
}

func printDrained(c *cobra.Command, out admin.NodeDrained) {
	c.Printf("%s.\n", cluster.MaintenanceText(out.Maintenance, time.Now()))
	switch {
	case out.Pending != "":
		c.Printf("Not everything has left yet: %s. It goes on by itself; unibusd node list shows it.\n", out.Pending)
	case len(out.Stay) > 0:
		c.Printf("It leads nothing and serves no users. Its %d replicas stay, because no other node could take them: while it is stopped, they are missing.\n", len(out.Stay))
	default:
		c.Println("It leads nothing, serves no users and has no replicas.")
	}
	if len(out.NotTold) > 0 {
		c.Printf("%s did not answer. A node learns it from the others as soon as it is connected to one of them.\n", strings.Join(out.NotTold, ", "))
	}
}

func nodeResumeCommand() *cobra.Command {
	var n network
	return n.command("resume NAME", "End the maintenance of a node before its time", []string{"NAME"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		out, err := cl.NodeResume(ctx, args[0])
		if err != nil {
			return err
		}
		return n.print(c, out, func() {
			c.Printf("%s is in maintenance no more. Users may connect there again, and elections may let it lead.\n", out.Node)
		})
	})
}
