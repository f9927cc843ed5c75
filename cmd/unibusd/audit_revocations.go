package main

import (
	"context"
	"fmt"
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
			"about each that was done. Failed actions are left out. Actions that may have been done are listed, and marked.\n" +
			"With --db it lists only those whom this database admits, or admits longer: give the restored one.\n" +
			"With --apply it denies them there. Each line is what `unibusd user` takes for it, and after a # who did it.\n" +
			"The error stream has the users who were activated or given a later end since. Such a database denies them, and\n" +
			"--apply does not admit them: `unibusd user` takes these lines, too.",
		RunE: func(c *cobra.Command, _ []string) error {
			if apply && db == "" {
				return core.Errorf(core.KindInvalid, "--apply changes a database file, and none is named").WithNext("give --db FILE, too")
			}
			if err := f.parse(time.Now()); err != nil {
				return err
			}
			records, err := n.auditRecords(c, files, f.from)
			if err != nil {
				return err
			}
			found, admitted := admin.Denials(records, f.from), admin.Admissions(records, f.from)
			if db != "" {
				found, admitted, err = compareWith(c, db, admin.AuditedUsers(records, f.from), found, admitted, apply)
			} else { // an end stands in the list of denials
				admitted = slices.DeleteFunc(admitted, func(a admin.Admission) bool { return a.Expires != 0 })
			}
			if err != nil {
				return err
			}
			return n.print(c, map[string]any{"revocations": found, "admissions": admitted, "applied": apply}, func() {
				denialsText(c, found, time.Now(), apply)
				admissionsText(c, admitted, db)
			})
		},
	}
	n.flags(c)
	fileFlag(c.Flags(), &files)
	c.Flags().StringVar(&f.since, "since", "", "only what was done since this TIME (UTC), that of the backup: 2027-01-31, 2027-01-31T17:00:00Z, or 36h or 7d ago")
	c.Flags().StringVar(&db, "db", "", "compare with this SQLite FILE, and list only whom it admits")
	c.Flags().BoolVar(&apply, "apply", false, "deny the listed users in the database of --db")
	return c
}

// auditRecords reads the audit of files, or of a cluster, the newest record first. A since that
// the audit says nothing about is an error, or said on the error stream.
func (n *network) auditRecords(c *cobra.Command, files []string, since core.Millis) (records []admin.AuditRecord, err error) {
	if since > core.MillisOf(time.Now())+admin.ClockMargin {
		return nil, core.Errorf(core.KindInvalid, "--since is in the future").WithNext("give the moment of the backup, in UTC")
	}
	var from auditPages
	if len(files) > 0 {
		from, err = n.readFiles(c, files, since)
	} else {
		cl, derr := n.Dial(c.Context(), "unibusd audit revocations")
		if derr != nil {
			return nil, derr
		}
		defer cl.Close()
		from = cl.Audit
	}
	if err != nil {
		return nil, err
	}
	var last core.Millis
	err = eachAction(c.Context(), from, auditFilter{}, noLimit, func(r admin.AuditRecord) error {
		records, last = append(records, r), max(last, r.At)
		return nil
	})
	if err == nil && last > 0 && last < since {
		c.PrintErrf("Warning: the audit ends at %s UTC, before --since. It has nothing that was done after the backup.\n", last.Time().UTC().Format(time.DateTime))
	}
	return records, err
}

// compareWith returns the denials and admissions that a database does not have, and with
// apply writes the denials.
func compareWith(c *cobra.Command, path string, users []core.UserID, all []admin.Denial, admitted []admin.Admission, apply bool) ([]admin.Denial, []admin.Admission, error) {
	st := sqlite.New(sqlite.Config{Path: path})
	if err := st.Open(c.Context()); err != nil {
		return nil, nil, err
	}
	defer func() { _ = st.Close() }() // nothing is buffered: every change was committed
	if err := checkUsers(c, st, users); err != nil {
		return nil, nil, err
	}
	now := core.MillisOf(time.Now())
	missing, err := missingAdmissions(c.Context(), st, admitted, now)
	if err != nil {
		return nil, nil, err
	}
	denials, err := missingDenials(c.Context(), st, all, now, apply)
	return denials, missing, err
}

// missingAdmissions are those of users whom the database denies.
func missingAdmissions(ctx context.Context, st *sqlite.Store, all []admin.Admission, now core.Millis) ([]admin.Admission, error) {
	out := []admin.Admission{}
	for _, a := range all {
		u, err := st.User(ctx, a.User)
		if core.KindOf(err) == core.KindNotFound { // added after the backup
			continue
		}
		if err != nil {
			return nil, err
		}
		if a.Denies(u, now) {
			out = append(out, a)
		}
	}
	return out, nil
}

// missingDenials are those of users whom the database admits. With apply it denies them.
func missingDenials(ctx context.Context, st *sqlite.Store, all []admin.Denial, now core.Millis, apply bool) ([]admin.Denial, error) {
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

// checkUsers says how many of the audit's users a database does not have. If it has none of
// several, it is another cluster's: KindInvalid.
func checkUsers(c *cobra.Command, st *sqlite.Store, users []core.UserID) error {
	missing := 0
	for _, id := range users {
		_, err := st.User(c.Context(), id)
		switch core.KindOf(err) {
		case "":
		case core.KindNotFound:
			missing++
		default:
			return err
		}
	}
	switch {
	case missing > 1 && missing == len(users):
		return core.Errorf(core.KindInvalid, "none of the %d users of the audit is in %s: it seems to be of another cluster", missing, st.Path()).
			WithNext("name the database that was restored for this cluster; if the audit has only users who were added after the backup, give --since, its moment")
	case missing > 0:
		verb := map[bool]string{true: "is", false: "are"}[missing == 1]
		c.PrintErrf("Warning: %d of %s of the audit %s not in %s: added after the backup, or of another cluster.\n", missing, counted(len(users), "user", "users"), verb, st.Path())
	}
	return nil
}

func denialsText(c *cobra.Command, found []admin.Denial, now time.Time, applied bool) {
	switch { // the lines of the output are for scripts
	case len(found) == 0:
		c.PrintErrln("No user has to be denied again.")
	case applied:
		c.PrintErrf("Denied again: %s.\n", counted(len(found), "change", "changes"))
	}
	for _, d := range found {
		uncertain := ""
		if d.Uncertain {
			uncertain = "OUTCOME UNKNOWN: "
		}
		c.Println(userLine(d.Arguments(core.MillisOf(now)), uncertain, d.Record))
	}
}

// userLine is what `unibusd user` takes, and after a # the record of the audit.
func userLine(arguments []string, note string, r admin.AuditRecord) string {
	line := fmt.Sprintf("%s  # %s%s %s UTC by %s on %s", strings.Join(arguments, " "), note, r.Verb, r.At.Time().UTC().Format(time.DateTime), r.Actor(), r.Node)
	return text(&line)
}

// admissionsText prints on the error stream: a script that feeds the output to `unibusd user`
// denies users, and admits none whom no operator looked at.
func admissionsText(c *cobra.Command, found []admin.Admission, db string) {
	if len(found) == 0 {
		return
	}
	what := "An older restored file denies them"
	if db != "" {
		what = core.ShellQuote(db) + " denies them"
	}
	c.PrintErrf("%s activated or given a later end. %s; `unibusd user` admits them again:\n", counted(len(found), "user was", "users were"), what)
	for _, a := range found {
		c.PrintErrln(userLine(a.Arguments(), "", a.Record))
	}
}
