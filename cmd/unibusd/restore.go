package main

import (
	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/backup"
)

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
			next := "unibusd serve --store sqlite --db " + core.ShellQuote(r.Path)
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
			c.Printf("What was changed after the backup is not in it. The audit knows who was revoked since: unibusd audit revocations --file audit.jsonl --db %s\n", core.ShellQuote(r.Path))
			c.Printf("Next: %s …\n", next)
			c.Printf("In a cluster all nodes begin with fresh data directories; then migrate it: unibusd migrate-to-kv --db %s …\n", core.ShellQuote(r.Path))
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
