package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
)

// pollEvery is how often a command that waits for the migration asks for its state.
const pollEvery = 200 * time.Millisecond

func migrateCommand() *cobra.Command {
	var n network
	var o migrate.Options
	var at string
	c := n.command("migrate-to-kv", "Move the control plane from a node's SQLite file into the replicated store", nil,
		func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
			if o.DryRun && o.Cutover {
				return core.Errorf(core.KindInvalid, "--dry-run and --cutover exclude each other").WithNext("give one of them")
			}
			node, err := source(ctx, cl, &o, at)
			if err != nil {
				return err
			}
			st, err := cl.MigrateStart(ctx, node, o)
			if err != nil {
				return err
			}
			if st, err = n.awaitMigration(ctx, c, cl, st); err != nil {
				return err
			}
			if o.DryRun {
				return n.ended(c, st, st.State)
			}
			return n.ended(c, st, migrate.StateVerify, migrate.StateSoak, migrate.StateDone)
		})
	f := c.Flags()
	f.StringVar(&o.DB, "db", "", "path of the SQLite FILE on the source node, as that node's db names it")
	f.IntVar(&o.Replicas, "replicas", 0, "raise every bucket to N replicas before the copy (0: as they are)")
	f.BoolVar(&o.NoBackup, "no-backup", false, "work from a temporary copy that is removed after verify")
	f.BoolVar(&o.DryRun, "dry-run", false, "check and convert; change no file and no bucket")
	f.BoolVar(&o.Cutover, "cutover", false, "continue after verify with the cutover")
	f.StringVar(&at, "node", "", "the source NODE, if several nodes have a file of this path")
	f.StringSliceVar(&o.IgnoredNodes, "ignore-node", nil, "leave behind what only the SQLite files of NODE[,NODE] hold (alias: --discard)")
	alias(f, "discard", "ignore-node")
	cli.Require(c, "db")
	f.StringArrayVar(&o.Ignored, "ignore", nil, "leave behind TABLE[.COLUMN] of the file, which unibus does not keep; can be given several times")
	f.IntVar(&o.Rate, "rate", 0, "copy at most N rows a second (0: no limit)")
	return c
}

// alias accepts the old name of a flag, beside the aliases that f has already.
func alias(f *pflag.FlagSet, old, name string) {
	normalize := f.GetNormalizeFunc()
	f.SetNormalizeFunc(func(f *pflag.FlagSet, given string) pflag.NormalizedName {
		if given == old {
			given = name
		}
		return normalize(f, given)
	})
}

// source finds the node whose file it is; at is the node that was named, "" for
// none. The file is named as that node names it.
func source(ctx context.Context, cl *admin.Client, o *migrate.Options, at string) (node string, err error) {
	abs, err := filepath.Abs(o.DB)
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "--db %s: %w", o.DB, err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	o.DB = abs
	// Status shows a store a moment after the node began to serve it, so only a refusal that lasts counts.
	limit := time.Now().Add(convergeTime)
	for {
		st, err := cl.Status(ctx)
		if err != nil {
			return "", err
		}
		migration, err := cl.Migration(ctx)
		if err != nil {
			return "", err
		}
		node, err := findSource(st, abs, at, migration)
		if err == nil || time.Now().After(limit) || ctx.Err() != nil {
			return node, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// convergeTime is how long the nodes may take to see each other's changes.
const convergeTime = 3 * time.Second

// findSource is the node that serves the file abs, or the one that the authority
// names. Nodes of the same make have their files at the same place: then at says which is meant.
func findSource(st admin.Status, abs, at string, migration migrate.Status) (string, error) {
	if a := st.Authority; a != nil && a.Backend != core.BackendNone {
		if at != "" && at != a.Node && a.Backend == core.BackendSQLite {
			return "", refuseOtherSource(st, a.Node, at, migration)
		}
		return a.Node, nil // it answers for its file, and after cutover says that there is nothing to migrate
	}
	var found, serving, downNodes []string
	for _, n := range st.Nodes {
		if !n.Online {
			downNodes = append(downNodes, n.Name)
		}
		if n.Info == nil || n.Info.Serving.Backend != core.BackendSQLite {
			continue
		}
		if n.Info.Serving.File == abs && (at == "" || at == n.Name) {
			found = append(found, n.Name)
		}
		serving = append(serving, fmt.Sprintf("--node %s --db %s", n.Name, core.ShellQuote(n.Info.Serving.File)))
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", core.Errorf(core.KindRefused, "%s each serve a file %s of their own", strings.Join(found, " and "), abs).
			WithNext("name the node whose file you want to migrate: --node %s", found[0])
	case len(serving) == 0 && len(downNodes) > 0:
		return "", core.Errorf(core.KindRefused, "no node that answers serves its control plane from SQLite").
			WithNext("start unibusd on %s, which may have %s", strings.Join(downNodes, " and "), abs)
	case len(serving) == 0:
		return "", core.Errorf(core.KindRefused, "no node serves its control plane from SQLite").
			WithNext("`unibus-tui status` says what each node serves; the node of %s serves it with db = %q in its configuration", abs, abs)
	}
	next := "give what a node serves: " + strings.Join(serving, ", or ")
	if at != "" {
		return "", core.Errorf(core.KindRefused, "%s is not the file that %s serves", abs, at).WithNext("%s", next)
	}
	return "", core.Errorf(core.KindRefused, "%s is not the file that a node serves", abs).WithNext("%s", next)
}

// refuseOtherSource refuses to migrate another file than the one in force, and names the next
// step. A migration that was only begun is aborted. After a rollback the authority
// stays: without it a node would serve an old file, and users who were revoked since
// would be admitted again.
func refuseOtherSource(st admin.Status, node, at string, migration migrate.Status) error {
	err := core.Errorf(core.KindRefused, "the control plane is the SQLite file of %s, not of %s", node, at)
	if migration.Active() {
		return err.WithNext("abort the migration that was started there with `unibusd migration abort`, then start it on %s", at)
	}
	file := "its file"
	for _, n := range st.Nodes {
		if n.Name == node && n.Info != nil && n.Info.Serving.File != "" {
			file = n.Info.Serving.File
		}
	}
	return err.WithNext("since a rollback only the file of %s counts: migrate that one, with --node %s --db %s. "+
		"If what %s has is right all the same, put it in its place: copy the file of %s while that is stopped, stop %s, move %s away, `unibusd restore --from COPY --db %s` there, start both; revoke again the users that were revoked in the file of %s alone",
		node, node, file, at, at, node, file, file, node)
}

// ended prints a migration that does not run. It is an error if its state is none of those that were
// asked for, because somebody paused or aborted it.
func (n *network) ended(c *cobra.Command, st migrate.Status, wanted ...migrate.State) error {
	if err := n.print(c, st, func() { c.Print(st.Report(time.Now())) }); err != nil {
		return err
	}
	switch {
	case st.Error != nil && n.json:
		return cli.Silent{Err: st.Error}
	case st.Error != nil:
		return st.Error
	case len(st.Problems) > 0 && st.State == migrate.StatePreflight: // in another state they are of another check
		return cli.Silent{Err: core.Errorf(core.KindRefused, "the migration did not start")}
	case st.Paused || !slices.Contains(wanted, st.State) || st.State == migrate.StateVerify && !st.Verified:
		return cli.Silent{Err: core.Errorf(core.KindFailed, "the migration stopped in the state %s", st.State)}
	}
	return nil
}
