package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core/admin"
)

func bucketCommand() *cobra.Command {
	return cli.Group("bucket", "Show the control plane's buckets and change their replicas", bucketListCommand(), bucketScaleCommand())
}

func bucketListCommand() *cobra.Command {
	var n network
	return n.command("list", "List the buckets with the state of each replica", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		return n.print(c, map[string]any{"buckets": st.Buckets}, func() {
			if len(st.Buckets) == 0 {
				c.Println("There are no buckets yet: a migration to KV creates them: unibusd migrate-to-kv --db FILE")
				return
			}
			table(c, "BUCKET\tREPLICAS\tLEADER\tKEYS\tSTATE", func(print func(string, ...any)) {
				for _, b := range st.Buckets {
					states := make([]string, len(b.Replicas))
					for i, r := range b.Replicas {
						states[i] = r.Node + " " + string(r.State)
					}
					print("%s\t%d\t%s\t%d\t%s", b.Name, b.Wanted, b.Leader, b.Keys, strings.Join(states, ", "))
				}
			})
		})
	})
}

func bucketScaleCommand() *cobra.Command {
	var n network
	var replicas int
	c := n.command("scale", "Give every bucket a number of replicas, more or fewer", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		done, err := cl.BucketScale(ctx, replicas)
		if err != nil {
			return err
		}
		return n.print(c, done, func() { c.Println(done.Text) })
	})
	c.Flags().IntVar(&replicas, "replicas", 3, "number of replicas, 1 to 5")
	return c
}
