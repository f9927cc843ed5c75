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

func restoreCommand() *cobra.Command {
	var from, db string
	var want backup.Expect
	var asJSON bool
	c := &cobra.Command{
		Use: "restore", Short: "Create a new database from a backup; no node has to run", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if want.Signer != "" {
				if _, err := backup.ParseSigner(want.Signer); err != nil {
					return err
				}
			}
			r, err := backup.Restore(c.Context(), from, db, want)
			if err != nil {
				return err
			}
			next := "unibusd serve --store sqlite --db " + r.Path
			if asJSON {
				return cli.PrintJSON(c.OutOrStdout(), struct {
					backup.Restored
					Next string `json:"next"`
				}{r, next})
			}
			c.Printf("Restored %s from %s: %s.\n", r.Path, r.From, r.Content)
			c.Printf("The SHA-256 of the backup is %s.\n", r.SHA256)
			for _, l := range r.Leftovers {
				c.Printf("Left behind: %s (rows: %d).\n", l, l.Rows)
			}
			c.Printf("%s\n\n", signedBy(r.Signed))
			c.Printf("What was changed after the backup is not in it: revoke again whom you revoked since.\n")
			c.Printf("Next: %s …\n", next)
			c.Printf("In a cluster all nodes begin with fresh data directories; then move it: unibusd migrate-to-kv --db %s …\n", r.Path)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "the backup FILE, which is checked first and not changed")
	f.StringVar(&db, "db", "", "the NEW database; an existing one is not overwritten")
	f.StringVar(&want.Signer, "signer", "", "refuse a backup that the cluster with the public KEY has not signed, as unibusd backup printed it")
	f.StringVar(&want.SHA256, "sha256", "", "refuse a backup whose bytes do not sum up to HEX, as unibusd backup printed it")
	f.StringArrayVar(&want.Ignore, "ignore", nil, "leave behind TABLE[.COLUMN] of the backup, which unibus does not keep; can be given several times")
	f.BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	cli.Require(c, "from", "db")
	return c
}
