package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/backup"
)

func restoreCommand() *cobra.Command {
	var from, db, identity string
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
			r, err := backup.RestoreFile(c.Context(), from, db, identity, want)
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
			c.Printf("Later changes are not in the backup. The audit knows who was revoked, activated or extended since: unibusd audit revocations --file audit.jsonl --db %s\n", core.ShellQuote(r.Path))
			c.Printf("Next: %s …\n", next)
			c.Printf("In a cluster all nodes begin with fresh data directories; then migrate it: unibusd migrate-to-kv --db %s …\n", core.ShellQuote(r.Path))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "the backup FILE, which is checked first and not changed")
	f.StringVar(&db, "db", "", "the NEW database; an existing one is not overwritten")
	f.StringVar(&identity, "identity", "", "the FILE of an age identity that decrypts an encrypted backup")
	f.StringVar(&want.Signer, "signer", "", "refuse a backup that the cluster with the public KEY has not signed, as unibusd backup printed it")
	f.StringVar(&want.SHA256, "sha256", "", "refuse a backup whose bytes do not sum up to HEX, as unibusd backup printed it")
	f.StringArrayVar(&want.Ignore, "ignore", nil, "leave behind TABLE[.COLUMN] of the backup, which unibus does not keep; can be given several times")
	f.BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	cli.Require(c, "from", "db")
	c.AddCommand(restoreClusterCommand())
	return c
}

// clusterRestored is what `restore cluster --json` prints.
type clusterRestored struct {
	core.ClusterRestored
	ClusterKey string            `json:"cluster_key"` // which the restore does not change
	From       string            `json:"from"`
	SHA256     string            `json:"sha256"` // of the bytes of From
	Signed     *backup.Signature `json:"signed"`
	Leftovers  []core.Leftover   `json:"leftovers,omitempty"`
}

func restoreClusterCommand() *cobra.Command {
	var n network
	var from, identity string
	var want backup.Expect
	c := n.command("cluster", "Fill a new and empty cluster with a backup; no user is admitted before it is complete", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		if want.Signer != "" {
			if _, err := backup.ParseSigner(want.Signer); err != nil {
				return err
			}
		}
		told, over := showRestore(c.ErrOrStderr(), term.IsTerminal(os.Stderr.Fd()))
		done, r, err := backup.RestoreIntoCluster(ctx, cl, from, identity, want, told)
		over()
		if err != nil {
			return err
		}
		return n.print(c, clusterRestored{done, cl.ClusterKey(), r.From, r.SHA256, r.Signed, r.Leftovers}, func() {
			c.Printf("Restored the cluster from %s: %s.\n", r.From, r.Content)
			c.Printf("%s wrote the rows; the replicas on %s were read and are equal to the backup.\n", done.Node, strings.Join(done.Replicas, ", "))
			c.Printf("The SHA-256 of the backup is %s.\n", r.SHA256)
			for _, l := range r.Leftovers {
				c.Printf("Left behind: %s (rows: %d).\n", l, l.Rows)
			}
			c.Println(signedBy(r.Signed))
			c.Println(keyNotice(r.Signed, cl.ClusterKey()))
			c.Println("Later changes are not in the backup.")
		})
	})
	f := c.Flags()
	f.StringVar(&from, "from", "", "the backup FILE, or a database that unibusd restore made of one; it is not changed")
	f.StringVar(&identity, "backup-identity", "", "the FILE of an age identity that decrypts an encrypted backup")
	f.StringVar(&want.Signer, "signer", "", "refuse a backup that the cluster with the public KEY has not signed, as unibusd backup printed it")
	f.StringVar(&want.SHA256, "sha256", "", "refuse a backup whose bytes do not sum up to HEX, as unibusd backup printed it")
	f.StringArrayVar(&want.Ignore, "ignore", nil, "leave behind TABLE[.COLUMN] of the backup, which unibus does not keep; can be given several times")
	cli.Require(c, "from")
	return c
}

// keyNotice says which key the cluster has: a restore changes none.
func keyNotice(s *backup.Signature, key string) string {
	switch {
	case s == nil:
		return "The cluster keeps its key " + key + "."
	case s.Key == key:
		return "The cluster has the key that signed the backup, and keeps it: operators and programs who know the old cluster know this one."
	}
	return fmt.Sprintf("The cluster keeps its own key %s. Operators and programs who know the old one refuse this cluster under the old addresses, until each has run: unibusd cluster-key forget %s", key, s.Key)
}

// showRestore keeps one line on a terminal up to date; over removes it.
func showRestore(w io.Writer, terminal bool) (told func(backup.Progress), over func()) {
	if !terminal {
		return nil, func() {}
	}
	const wipe = "\r\x1b[K"
	return func(p backup.Progress) {
			if p.Total > 0 {
				_, _ = fmt.Fprintf(w, wipe+"bringing it to %s: %d of %d KiB", p.Node, p.Bytes>>10, p.Total>>10)
				return
			}
			_, _ = fmt.Fprintf(w, wipe+"%s writes the buckets: %d rows", p.Node, p.Rows)
		}, func() {
			_, _ = fmt.Fprint(w, wipe)
		}
}
