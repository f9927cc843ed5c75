package main

import (
	"context"

	"github.com/spf13/cobra"

	"unibus/core/admin"
)

func stepDownCommand() *cobra.Command {
	var n network
	var to string
	c := n.command("step-down GROUP", "Move the leadership of the meta group (meta) or of a bucket to another node", []string{"GROUP"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		done, err := cl.StepDown(ctx, args[0], to)
		if err != nil {
			return err
		}
		return n.print(c, done, func() { c.Println(done.Text) })
	})
	c.Flags().StringVar(&to, "to", "", "the NODE that leads next (default: any other node)")
	return c
}
