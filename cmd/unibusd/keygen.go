package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/keys"
)

func keygenCommand() *cobra.Command {
	make := func(use, short string) *cobra.Command {
		var out string
		c := &cobra.Command{
			Use: use, Short: short, Args: cli.Args(),
			RunE: func(c *cobra.Command, _ []string) error {
				if out == "" {
					return core.Errorf(core.KindInvalid, "--out is missing").WithNext("give the file that the seed shall be written to")
				}
				seed, public, err := keys.Generate()
				if err != nil {
					return err
				}
				if err := keys.WriteSeed(out, seed); err != nil {
					return err
				}
				c.Println(public)
				return nil
			},
		}
		c.Flags().StringVar(&out, "out", "", "write the seed to this `FILE`, readable by its owner alone")
		return c
	}
	return cli.Group("keygen", "Make an nkey: the seed goes to a file, the public key is printed",
		make("operator", "Make an operator's key, for the nodes' --operator"),
		make("user", "Make a user's key, for `unibusd user add`"))
}

func certCommand() *cobra.Command {
	return cli.Group("cert", "Make an authority and certificates for the nodes, and revoke them", certCACommand(), certNodeCommand(), certRevokeCommand())
}

func certCACommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "ca", Short: "Make a certificate authority", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return core.Errorf(core.KindInvalid, "--out is missing").WithNext("give the directory for ca.crt and ca.key")
			}
			if err := os.MkdirAll(out, 0o700); err != nil {
				return core.Errorf(core.KindFailed, "the directory %s cannot be made: %w", out, err)
			}
			if err := keys.WriteCA(out); err != nil {
				return err
			}
			c.Printf("%s/ca.crt goes to every node and client; %s/ca.key stays where certificates are made.\n", out, out)
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "`DIR` for ca.crt and ca.key")
	return c
}

func certNodeCommand() *cobra.Command {
	var ca, out, name string
	var hosts []string
	c := &cobra.Command{
		Use: "node", Short: "Make a certificate for one node", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if ca == "" || out == "" || len(hosts) == 0 {
				return core.Errorf(core.KindInvalid, "--ca, --host and --out are all needed").
					WithNext("for example --ca ./ca --host n1.example.org,203.0.113.7 --out ./n1")
			}
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
	c.Flags().StringVar(&ca, "ca", "", "`DIR` with ca.crt and ca.key")
	c.Flags().StringVar(&out, "out", "", "`DIR` for node.crt and node.key")
	c.Flags().StringVar(&name, "name", "", "the node's `NAME`, which it must have at a route (default: the first label of the first host)")
	c.Flags().StringSliceVar(&hosts, "host", nil, "names and addresses by which the node is reached, `H[,H]`")
	return c
}

func certRevokeCommand() *cobra.Command {
	var ca string
	c := &cobra.Command{
		Use: "revoke CERT", Short: "Revoke a node's certificate", Args: cli.Args("CERT"),
		RunE: func(c *cobra.Command, args []string) error {
			if ca == "" {
				return core.Errorf(core.KindInvalid, "--ca is missing").WithNext("give the directory with ca.crt and ca.key")
			}
			if err := keys.Revoke(args[0], ca); err != nil {
				return err
			}
			c.Printf("%s is in %s/%s. Copy that file to the --route-tls-crl of every node: each one reads it again by itself.\n", args[0], ca, keys.CRLFile)
			return nil
		},
	}
	c.Flags().StringVar(&ca, "ca", "", "`DIR` with ca.crt and ca.key")
	return c
}
