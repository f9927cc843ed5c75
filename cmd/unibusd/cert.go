package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/keys"
)

func certCommand() *cobra.Command {
	return cli.Group("cert", "Create a CA and certificates for the nodes, and revoke them", certCACommand(), certNodeCommand(), certRevokeCommand(), certListCommand())
}

func certCACommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "ca", Short: "Create a certificate authority (CA)", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := os.MkdirAll(out, 0o700); err != nil {
				return core.Errorf(core.KindFailed, "the directory %s cannot be made: %w", out, err)
			}
			if err := keys.WriteCA(out); err != nil {
				return err
			}
			c.Printf("%s/ca.crt goes to the certificates' verifiers: nodes for routes, nodes and clients for the bus. %s/ca.key stays where certificates are made.\n", out, out)
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "directory DIR for ca.crt and ca.key")
	cli.Require(c, "out")
	return c
}

func certNodeCommand() *cobra.Command {
	var ca, out, name string
	var hosts []string
	c := &cobra.Command{
		Use: "node", Short: "Create a certificate for one node", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if name == "" {
				name = keys.NameFromHosts(hosts)
			}
			if name == "" {
				return core.Errorf(core.KindInvalid, "--name is missing, and %q is no node's name", hosts[0]).
					WithNext("give the --name that the node has in its configuration, for example --name n1")
			}
			if err := os.MkdirAll(out, 0o700); err != nil {
				return core.Errorf(core.KindFailed, "the directory %s cannot be made: %w", out, err)
			}
			if err := keys.NodeCert(ca, name, hosts, out); err != nil {
				return err
			}
			c.Printf("%s/node.crt and %s/node.key are for the node %s at %s.\n", out, out, name, strings.Join(hosts, ", "))
			return nil
		},
	}
	c.Flags().StringVar(&ca, "ca", "", "directory DIR with ca.crt and ca.key")
	c.Flags().StringVar(&out, "out", "", "directory DIR for node.crt and node.key")
	c.Flags().StringVar(&name, "name", "", "the node's NAME in its configuration (default: the first label of the first host)")
	c.Flags().StringSliceVar(&hosts, "host", nil, "names and addresses by which the node is reached, H[,H]")
	cli.Require(c, "ca", "host", "out")
	return c
}

func certRevokeCommand() *cobra.Command {
	var ca string
	c := &cobra.Command{
		Use: "revoke CERT", Short: "Revoke a node's certificate", Args: cli.Args("CERT"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := keys.Revoke(args[0], ca); err != nil {
				return err
			}
			c.Printf("%s is in %s/%s. Copy that file to the --route-tls-crl of every node: each one reads it again by itself.\n", args[0], ca, keys.CRLFile)
			return nil
		},
	}
	c.Flags().StringVar(&ca, "ca", "", "directory DIR with ca.crt and ca.key")
	cli.Require(c, "ca")
	return c
}

func certListCommand() *cobra.Command {
	var ca string
	c := &cobra.Command{
		Use: "crl", Short: "Create the list of revoked certificates of a CA that has revoked none", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := keys.WriteEmptyList(ca); err != nil {
				return err
			}
			c.Printf("%s/%s is the list of that CA, for the --route-tls-crl of every node.\n", ca, keys.CRLFile)
			return nil
		},
	}
	c.Flags().StringVar(&ca, "ca", "", "directory DIR with ca.crt and ca.key")
	cli.Require(c, "ca")
	return c
}
