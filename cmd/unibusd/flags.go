package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core/config"
)

func flagsCommand() *cobra.Command {
	var n network
	c := &cobra.Command{
		Use: "flags", Short: "Show the built-in targets, and with --server what each node runs", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error { return n.showFlags(c) },
	}
	n.flags(c)
	return c
}

func (n *network) showFlags(c *cobra.Command) error {
	if !n.Given() {
		return n.print(c, config.Declared(), func() {
			table(c, "FLAG\tDECLARED", func(print func(string, ...any)) {
				for _, f := range config.Declared().List() {
					print("%s\t%s", f.Name, f.Value)
				}
			})
		})
	}
	cl, err := n.Dial(c.Context(), "unibusd flags")
	if err != nil {
		return err
	}
	defer cl.Close()
	flags, err := cl.Flags(c.Context())
	if err != nil {
		return err
	}
	return n.print(c, flags, func() {
		table(c, "FLAG\tDECLARED\tNODE\tACTIVE", func(print func(string, ...any)) {
			for _, f := range flags.Flags {
				for _, node := range slices.Sorted(maps.Keys(f.Nodes)) {
					print("%s\t%s\t%s\t%s", f.Name, f.Declared, node, f.Nodes[node])
				}
			}
		})
	})
}
