package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core/admin"
	"unibus/core/backup"
)

func backupCommand() *cobra.Command {
	var n network
	var out string
	c := n.command("backup", "Save the whole control plane as a new, verified SQLite file", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		told, over := showProgress(c.ErrOrStderr(), term.IsTerminal(os.Stderr.Fd()))
		taken, err := backup.Fetch(ctx, cl, out, told)
		over()
		if err != nil {
			return err
		}
		return n.print(c, taken, func() {
			content := backup.Content{Schema: taken.Schema, Tables: taken.Tables}
			c.Printf("Saved %s from %s (%s): %s.\n", taken.Path, taken.Node, taken.Backend, content)
			c.Printf("%d bytes, SHA-256 %s; only you can read it.\n", taken.Bytes, taken.SHA256)
			c.Println(signedBy(taken.Signed))
		})
	})
	c.Flags().StringVar(&out, "out", "", "save it as the new FILE; an existing file is not overwritten")
	cli.Require(c, "out")
	c.AddCommand(backupListCommand(), backupNowCommand(), backupCheckCommand())
	return c
}

// showProgress keeps one line on a terminal up to date; over removes it.
func showProgress(w io.Writer, terminal bool) (told func(backup.Progress), over func()) {
	if !terminal {
		return nil, func() {}
	}
	const wipe = "\r\x1b[K"
	return func(p backup.Progress) {
			switch {
			case p.Total > 0:
				_, _ = fmt.Fprintf(w, wipe+"fetching from %s: %d of %d KiB", p.Node, p.Bytes>>10, p.Total>>10)
			case p.Rows > 0:
				_, _ = fmt.Fprintf(w, wipe+"%s writes the file: %d rows", p.Node, p.Rows)
			default:
				_, _ = fmt.Fprintf(w, wipe+"%s reads the control plane", p.Node)
			}
		}, func() {
			_, _ = fmt.Fprint(w, wipe)
		}
}

// signedBy says who made a backup.
func signedBy(s *backup.Signature) string {
	if s == nil {
		return "It has no signature: nothing shows where it comes from, or that its rows are unchanged."
	}
	return fmt.Sprintf("Signed by %s with the cluster's key %s at %s.", s.Node, s.Key, s.At.Format("2006-01-02 15:04:05 UTC"))
}
