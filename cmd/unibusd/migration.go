package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
)

func migrationCommand() *cobra.Command {
	return cli.Group("migration", "Show and control the migration",
		migrationStatus(), migrationReport(), migrationLimit(),
		migrationStep("pause", "Pause the copy; nothing is lost", (*admin.Client).MigratePause),
		migrationStep("resume", "Continue a migration that was paused, stopped or interrupted by a crash", (*admin.Client).MigrateResume),
		migrationStep("abort", "Abort the migration and restore the former state; in a rollback, stay in KV", (*admin.Client).MigrateAbort),
		migrationStep("cutover", "Move the authority to KV on all nodes, and wait for the end", (*admin.Client).MigrateCutover),
		migrationStep("rollback", "Move the control plane back to a new SQLite file, and wait for the end", (*admin.Client).MigrateRollback),
		migrationStep("finish", "Finish the migration: no rollback afterwards; the SQLite file is kept, read-only", (*admin.Client).MigrateFinish))
}

func migrationStatus() *cobra.Command {
	var n network
	return n.command("status", "Show the state of the migration", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		st, err := cl.Migration(ctx)
		if err != nil {
			return err
		}
		return n.print(c, st, func() {
			c.Print(st.Summary())
			if down := checkMigrationNode(ctx, cl, st); down != nil && !st.HasEnded() {
				e := core.AsError(down)
				c.Printf("\n%s: this is what it wrote down last\n  %s\n", e.Text, e.Next)
			}
		})
	})
}

func migrationReport() *cobra.Command {
	var n network
	var out string
	c := n.command("report", "Print the report of the migration, or save it as a file", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		st, err := cl.Migration(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if out == "" {
			return n.print(c, st.ReportDocument(now), func() { c.Print(st.Report(now)) })
		}
		if err := st.SaveReport(out, n.json, now); err != nil {
			return err
		}
		if abs, err := filepath.Abs(out); err == nil {
			out = abs
		}
		return n.print(c, map[string]string{"saved": out}, func() { c.Printf("Saved %s; only you can read it.\n", out) })
	})
	c.Flags().StringVar(&out, "out", "", "save the report as the new FILE, as JSON with --json; an existing file is not overwritten")
	return c
}

func migrationLimit() *cobra.Command {
	var n network
	var rate int
	c := n.command("limit", "Limit the rate of the copy, at once", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		if rate < 0 {
			return core.Errorf(core.KindInvalid, "--rate is below 0").WithNext("give --rate N, in rows a second; 0 removes the limit")
		}
		return n.runStep(ctx, c, cl, func(cl *admin.Client, ctx context.Context, node string) (migrate.Status, error) {
			return cl.MigrateLimit(ctx, node, rate)
		})
	})
	c.Flags().IntVar(&rate, "rate", 0, "copy at most ROWS a second (0: no limit)")
	cli.Require(c, "rate")
	return c
}

// verb is a request to the node that runs the migration.
type verb func(cl *admin.Client, ctx context.Context, node string) (migrate.Status, error)

func migrationStep(use, short string, f verb) *cobra.Command {
	var n network
	return n.command(use, short, nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		return n.runStep(ctx, c, cl, f)
	})
}

// runStep sends a verb to the node that runs the migration. It waits for the end of one that moves
// the authority, and prints the status after any other.
func (n *network) runStep(ctx context.Context, c *cobra.Command, cl *admin.Client, f verb) error {
	st, err := cl.Migration(ctx)
	if err != nil {
		return err
	}
	if st.Node == "" {
		return core.Errorf(core.KindRefused, "no migration was started").WithNext("start one with `unibusd migrate-to-kv --db FILE`")
	}
	if st, err = f(cl, ctx, st.Node); err != nil {
		return err
	}
	to := map[string][]migrate.State{
		"cutover": {migrate.StateSoak, migrate.StateDone}, "rollback": {migrate.StateRolledBack},
	}[c.Name()]
	if st.Aborting != "" { // it takes longer than a request
		to = []migrate.State{migrate.StateAborted}
	}
	if to != nil {
		if st, err = n.awaitMigration(ctx, c, cl, st); err != nil {
			return err
		}
		return n.ended(c, st, to...)
	}
	return n.print(c, st, func() { c.Print(st.Summary()) })
}

// How long awaitMigration goes on.
const (
	answerTime   = 30 * time.Second // without any answer
	nodeDownTime = 30 * time.Second // without the node that runs the migration
)

// awaitMigration waits until the migration stops: verified, cut over, rolled back, or with an error.
// If the node that runs it dies, the other nodes answer with what it recorded last.
func (n *network) awaitMigration(ctx context.Context, c *cobra.Command, cl *admin.Client, st migrate.Status) (migrate.Status, error) {
	shown := migrate.State("")
	heard, changed := time.Now(), time.Now()
	for {
		if st.State != shown && !n.json {
			c.Printf("%s\n", st.State)
			shown = st.State
		}
		// Between an abort and what it leads to, a rollback does not run for a moment.
		if !st.Running && (st.State != migrate.StateRollback || time.Since(changed) > convergeTime) {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, core.Errorf(core.KindFailed, "stopped waiting; the migration continues in the daemon").
				WithNext("`unibusd migration status` shows its state")
		case <-time.After(pollEvery):
		}
		next, err := cl.Migration(ctx)
		switch {
		case err == nil && next.Updated < st.Updated:
			heard = time.Now() // what another node read of the record earlier
		case err == nil:
			if next.Updated > st.Updated {
				changed = time.Now()
			}
			st, heard = next, time.Now()
		case core.KindOf(err) != core.KindUnavailable || time.Since(heard) > answerTime:
			return st, err
		}
		if time.Since(changed) < nodeDownTime {
			continue
		}
		if err := checkMigrationNode(ctx, cl, st); err != nil {
			return st, err
		}
		changed = time.Now()
	}
}

// checkMigrationNode returns an error if the node that runs the migration does not answer.
func checkMigrationNode(ctx context.Context, cl *admin.Client, st migrate.Status) error {
	view, err := cl.Status(ctx)
	if err != nil {
		return nil //nolint:nilerr // answerTime bounds how long no node at all answers
	}
	if view.IsSilent(st.Node) {
		return admin.MigrationNodeDown(st.Node)
	}
	return nil
}
