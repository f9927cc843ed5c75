package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/store/sqlite"
)

func auditRevocationsCommand() *cobra.Command {
	var n network
	var f auditFilter
	var db string
	var apply bool
	var files []string
	c := &cobra.Command{
		Use: "revocations", Short: "List the users whom a restored backup admits again", Args: cli.Args(),
		Long: "revocations lists the users whom operators and user-admins have revoked, or given another end, by the last action\n" +
			"about each that was done. What failed is left out. What may have been done is listed, and marked.\n" +
			"With --db it lists only those whom this database admits, or admits longer: give the restored one.\n" +
			"With --apply it denies them there. Each line is what `unibusd user` takes for it, and after a # who did it.",
		RunE: func(c *cobra.Command, _ []string) error {
			if apply && db == "" {
				return core.Errorf(core.KindInvalid, "--apply changes a database file, and none is named").WithNext("give --db FILE, too")
			}
			if err := f.parse(time.Now()); err != nil {
				return err
			}
			from, end, err := n.auditSource(c, files, f.from)
			if err != nil {
				return err
			}
			defer end()
			found, err := denials(c.Context(), from, f.from)
			if err == nil && db != "" {
				found, err = compareWith(c.Context(), db, found, apply)
			}
			if err != nil {
				return err
			}
			return n.print(c, map[string]any{"revocations": found, "applied": apply}, func() { denialsText(c, found, time.Now(), apply) })
		},
	}
	n.flags(c)
	fileFlag(c.Flags(), &files)
	c.Flags().StringVar(&f.since, "since", "", "only what was done since this TIME (UTC), that of the backup: 2027-01-31, 2027-01-31T17:00:00Z, or 36h or 7d ago")
	c.Flags().StringVar(&db, "db", "", "compare with this SQLite FILE, and list only whom it admits")
	c.Flags().BoolVar(&apply, "apply", false, "deny the listed users in the database of --db")
	return c
}

// auditSource is the audit of files, or of a cluster until end is called.
func (n *network) auditSource(c *cobra.Command, files []string, since core.Millis) (from auditPages, end func(), err error) {
	if len(files) > 0 {
		from, err = n.readFiles(c, files, since)
		return from, func() {}, err
	}
	cl, err := n.Dial(c.Context(), "unibusd audit revocations")
	if err != nil {
		return nil, nil, err
	}
	return cl.Audit, cl.Close, nil
}

func denials(ctx context.Context, from auditPages, since core.Millis) ([]admin.Denial, error) {
	var records []admin.AuditRecord
	err := eachAction(ctx, from, auditFilter{}, everything, func(r admin.AuditRecord) error {
		records = append(records, r)
		return nil
	})
	return admin.Denials(records, since), err
}

// compareWith returns the denials that a database does not have, and with apply writes them.
func compareWith(ctx context.Context, path string, all []admin.Denial, apply bool) ([]admin.Denial, error) {
	st := sqlite.New(sqlite.Config{Path: path})
	if err := st.Open(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = st.Close() }() // nothing is buffered: every change was committed
	now := core.MillisOf(time.Now())
	out := []admin.Denial{}
	for _, d := range all {
		u, err := st.User(ctx, d.User)
		if core.KindOf(err) == core.KindNotFound { // added after the backup: the nodes refuse the key
			continue
		}
		if err != nil {
			return nil, err
		}
		if !d.Admits(u, now) {
			continue
		}
		if apply {
			err = d.Apply(ctx, st, now)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func denialsText(c *cobra.Command, found []admin.Denial, now time.Time, applied bool) {
	switch { // the lines of the output are for scripts
	case len(found) == 0:
		c.PrintErrln("No user has to be denied again.")
	case applied:
		c.PrintErrf("Denied again: %s.\n", counted(len(found), "change", "changes"))
	}
	for _, d := range found {
		r := d.Record
		words := []string{strings.Join(d.Arguments(core.MillisOf(now)), " "), " #", r.Verb, r.At.Time().UTC().Format(time.DateTime), "UTC by", r.Actor(), "on", r.Node}
		if d.Uncertain {
			words = slices.Insert(words, 2, "OUTCOME UNKNOWN:")
		}
		c.Println(text(new(strings.Join(words, " "))))
	}
}
