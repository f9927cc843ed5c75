package main

import (
	"fmt"
	"os"

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
