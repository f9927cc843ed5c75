package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/keys"
	"unibus/core/keysource"
)

// keygen makes a key of one kind.
type keygen struct {
	out        string
	protect    bool
	passphrase cli.Passphrase
	fromSSH    string
}

func keygenCommand() *cobra.Command {
	return cli.Group("keygen", "Create an nkey: write the seed to a file, print the public key",
		keygenOf("operator", "Create an operator's key, for the nodes' --operator"),
		keygenOf("user", "Create a user's key, for unibusd user add"))
}

func keygenOf(kind, short string) *cobra.Command {
	var k keygen
	c := &cobra.Command{
		Use: kind, Short: short,
		Args: func(c *cobra.Command, args []string) error {
			if k.out == "" && k.fromSSH == "" {
				return core.Errorf(core.KindInvalid, "--out is missing").WithNext("give the file that the seed shall be written to: --out FILE")
			}
			return cli.Args()(c, args)
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if k.fromSSH != "" {
				return k.printFromSSH(c)
			}
			return k.make(c)
		},
	}
	c.Flags().StringVar(&k.out, "out", "", "write the seed to this FILE, readable by its owner alone")
	if kind == "operator" { // users' programs run without a terminal, and rooms' keys need more than signatures
		c.Flags().BoolVar(&k.protect, "passphrase", false, "protect the file by a passphrase, which is asked for")
		c.Flags().IntVar(&k.passphrase.FD, "passphrase-fd", 0, "read the passphrase from this file descriptor N")
		c.Flags().StringVar(&k.fromSSH, "from-ssh", "", "make no key: print the nkey of the ssh-ed25519 key in FILE.pub")
	}
	return c
}

func (k *keygen) make(c *cobra.Command) error {
	seed, public, err := keys.Generate()
	if err != nil {
		return err
	}
	if k.protect || k.passphrase.FD != 0 {
		passphrase, err := k.passphrase.AskNew(c.Context(), k.out)
		if err != nil {
			return err
		}
		plain := seed
		if seed, err = cli.Interruptible(c.Context(), func() ([]byte, error) { return keysource.Protect(plain, passphrase) }); err != nil {
			return err
		}
	}
	if err := keys.WriteSeed(k.out, seed); err != nil {
		return err
	}
	c.Println(public)
	return nil
}

func (k *keygen) printFromSSH(c *cobra.Command) error {
	if k.out != "" || k.protect || k.passphrase.FD != 0 {
		return core.Errorf(core.KindInvalid, "--from-ssh makes no key, and is given with a flag for a new one").WithNext("give --from-ssh FILE.pub alone")
	}
	line, err := os.ReadFile(k.fromSSH)
	if err != nil {
		return core.Errorf(core.KindNotFound, "--from-ssh %s cannot be read: %w", k.fromSSH, err)
	}
	public, err := keysource.PublicFromSSH(line)
	if err != nil {
		return fmt.Errorf("--from-ssh %s: %w", k.fromSSH, err)
	}
	c.Println(public)
	return nil
}

func certCommand() *cobra.Command {
	return cli.Group("cert", "Create a CA and certificates for the nodes, and revoke them", certCACommand(), certNodeCommand(), certRevokeCommand())
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
