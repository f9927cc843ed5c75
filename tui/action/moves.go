package action

import (
	"context"
	"path/filepath"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/feed"
)

// moves are what an operator can do to a move, in the order in which the page shows it.
func moves() []Action {
	return []Action{
		{
			Name: "migrate start", Aliases: []string{"migrate to kv"}, Key: "b", Scope: "migrate", Danger: YesNo,
			Help: "begin to move the control plane from SQLite to KV",
			Why:  whyStart, Ask: askStart, Same: sameStart, Run: runStart,
		},
		{
			Name: "migrate check", Aliases: []string{"migrate dry-run", "dry-run"}, Key: "D", Scope: "migrate",
			Help: "a dry run: check and convert everything, write nothing",
			Why:  whyStart, Same: sameCheck, Run: runCheck,
		},
		simple("P", None, "hold the copy; nothing is lost", migrate.ActionPause, nil, Client.MigratePause, "The move is paused"),
		simple("R", None, "go on where it was held or stopped", migrate.ActionResume, nil, Client.MigrateResume, "The move goes on"),
		{
			Name: "migrate limit", Key: "L", Scope: "migrate", Danger: YesNo,
			Help: "set how many rows a second the copy may write",
			Why:  why(migrate.ActionLimit), Ask: askLimit, Same: sameLimit, Run: runLimit,
		},
		simple("A", YesNo, "give up and restore exactly what was", migrate.ActionAbort, askAbort, Client.MigrateAbort, "It was given up"),
		simple("X", ClusterName, "let the nodes serve from KV", migrate.ActionCutover, askCutover, Client.MigrateCutover, "The cutover has begun"),
		simple("U", ClusterName, "bring the control plane back to SQLite", migrate.ActionRollback, askRollback, Client.MigrateRollback, "The rollback has begun"),
		simple("F", ClusterName, "end the move for good", migrate.ActionFinish, askFinish, Client.MigrateFinish, "The move is finished"),
		{
			Name: "migrate report", Aliases: []string{"report"}, Key: "W", Scope: "migrate", Local: true,
			Help: "save the report of the move in two files, as text and as JSON",
			Why:  whyReport,
			Same: func(s State, _ []string) string { return "unibusd migration report --out " + reportName(s) + ".txt" },
			Run:  func(_ context.Context, _ Client, s State, _ []string) (string, error) { return saveReport(s) },
		},
	}
}

type nodeCall func(c Client, ctx context.Context, node string) (migrate.Status, error)

func simple(key string, d Danger, help string, a migrate.Action, ask func(State) Question, call nodeCall, done string) Action {
	return Action{
		Name: "migrate " + string(a), Key: key, Scope: "migrate", Danger: d, Help: help, Why: why(a), Ask: ask,
		Same: func(State, []string) string { return "unibusd migration " + string(a) },
		Run: func(ctx context.Context, c Client, s State, _ []string) (string, error) {
			_, err := call(c, ctx, s.Snap.Migration.Value.Node)
			return done, err
		},
	}
}

// why is the daemon's own rule: the console adds nothing to it.
func why(a migrate.Action) func(State) string {
	return func(s State) string {
		if !s.Snap.Migration.Known() {
			return "where the move stands is not known yet"
		}
		return s.Snap.Migration.Value.WhyNot(a)
	}
}

// whyStart adds what the move does not know of: whether there is something to
// move, and somewhere to move it to.
func whyStart(s State) string {
	if no := why(migrate.ActionStart)(s); no != "" {
		return no
	}
	v := s.Snap.Status.Value
	switch {
	case v.Authority != nil && v.Authority.Backend == core.BackendKV:
		return "the control plane is in KV already"
	case !v.Clustered:
		return "this node has no routes: a move needs a cluster to move into"
	case len(sources(s.Snap)) == 0:
		return "no node serves the control plane from SQLite"
	case v.Meta.Leader == "":
		return "the meta group has no leader"
	}
	return ""
}

func whyReport(s State) string {
	if m := s.Snap.Migration; !m.Known() || m.Value.ID == "" && m.Value.Options.DB == "" {
		return "there was no move yet"
	}
	return ""
}

// source is a node that serves the control plane from a SQLite file.
type source struct{ node, file string }

func sources(snap *feed.Snapshot) []source {
	var out []source
	for _, n := range snap.Status.Value.Nodes {
		if n.Online && n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite && n.Info.Serving.File != "" {
			out = append(out, source{n.Name, n.Info.Serving.File})
		}
	}
	return out
}

// Source is the first node that serves the control plane from SQLite, and its file.
func Source(snap *feed.Snapshot) (node, file string) {
	if all := sources(snap); len(all) > 0 {
		return all[0].node, all[0].file
	}
	return "", ""
}

func sameCheck(s State, _ []string) string {
	_, file := Source(s.Snap)
	return "unibusd migrate-to-kv --db " + word(file) + " --dry-run"
}

func runCheck(ctx context.Context, c Client, s State, _ []string) (string, error) {
	node, file := Source(s.Snap)
	_, err := c.MigrateStart(ctx, node, migrate.Options{DB: file, DryRun: true})
	return "The dry run has begun on " + node, err
}

// reportName is the name that both files of a report have in common.
func reportName(s State) string { return "unibus-migration-" + s.Now.Format("20060102-150405") }

// saveReport writes the move as text and as JSON beside each other; it never writes over a file.
func saveReport(s State) (string, error) {
	base := filepath.Join(s.Dir, reportName(s))
	for _, f := range []struct {
		end    string
		asJSON bool
	}{{".txt", false}, {".json", true}} {
		if err := s.Snap.Migration.Value.Save(base+f.end, f.asJSON, s.Now); err != nil {
			return "", err
		}
	}
	if abs, err := filepath.Abs(base); err == nil {
		base = abs
	}
	return "Saved " + base + ".txt and .json", nil
}
