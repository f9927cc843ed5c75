package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
)

// network is what the commands that talk to a cluster have in common.
type network struct {
	cli.Connection
	json bool
}

// command makes a command that talks to the cluster: connection flags, --json, and a client for f.
func (n *network) command(use, short string, args []string, f func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cli.Args(args...),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := n.Dial(c.Context(), "unibusd "+c.Name())
			if err != nil {
				return err
			}
			defer cl.Close()
			return f(c.Context(), c, cl, args)
		},
	}
	n.flags(c)
	return c
}

func (n *network) flags(c *cobra.Command) {
	n.Flags(c.Flags())
	c.Flags().BoolVar(&n.json, "json", false, "print one JSON document, errors included")
}

// print writes doc as JSON, or calls text.
func (n *network) print(c *cobra.Command, doc any, text func()) error {
	if n.json {
		return cli.PrintJSON(c.OutOrStdout(), doc)
	}
	text()
	return nil
}

// table prints rows under a head, columns aligned.
func table(c *cobra.Command, head string, rows func(print func(format string, args ...any))) {
	cli.Table(c.OutOrStdout(), head, rows)
}

// text is a name that may be absent, as it may be shown.
func text(s *string) string {
	switch {
	case s == nil:
		return "–"
	case *s == "":
		return ""
	}
	oneLine := strings.NewReplacer("\n", "\uFFFD", "\t", "\uFFFD").Replace(*s) // a tab begins the next column
	return core.ShownName(oneLine)                                             // users choose their rooms' names, and this is an operator's terminal
}
