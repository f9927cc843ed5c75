package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core/keys"
)

// clusterKeyCommand is about the keys by which clusters are known here.
func clusterKeyCommand() *cobra.Command {
	return cli.Group("cluster-key", "Show and forget remembered cluster keys", clusterKeyShow(), clusterKeyList(), clusterKeyForget())
}

func clusterKeyShow() *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use: "show", Short: "Print the public key of the cluster that a data directory belongs to", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			key, err := keys.ClusterKeyOf(data)
			if err != nil {
				return err
			}
			if asJSON {
				return cli.PrintJSON(c.OutOrStdout(), map[string]string{"cluster_key": key})
			}
			c.Println(key)
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "", "the node's data DIR")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	cli.Require(c, "data")
	return c
}

func clusterKeyList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the remembered cluster keys by address", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			known, err := keys.DefaultKnownClusters()
			if err != nil {
				return err
			}
			all, err := known.All()
			if err != nil {
				return err
			}
			if asJSON {
				return cli.PrintJSON(c.OutOrStdout(), map[string]any{"file": known.Path, "known": all})
			}
			for _, addr := range slices.Sorted(maps.Keys(all)) {
				c.Println(addr, all[addr])
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	return c
}

func clusterKeyForget() *cobra.Command {
	return &cobra.Command{
		Use: "forget HOST:PORT|KEY", Short: "Forget the key of an address, or every address of a key", Args: cli.Args("HOST:PORT|KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			known, err := keys.DefaultKnownClusters()
			if err != nil {
				return err
			}
			forgotten, err := known.Forget(args[0])
			if err != nil {
				return err
			}
			for _, addr := range forgotten {
				c.Println("Forgot", addr)
			}
			return nil
		},
	}
}
