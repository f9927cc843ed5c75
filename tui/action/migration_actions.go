package action

import (
	"context"
	"path/filepath"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/feed"
	"unibus/tui/widget"
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
			Why:  whyStart, Choose: chooseSource, Same: sameCheck, Run: runCheck,
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

// why is the daemon's own rule. The console adds to it only that a move without
// its node can be steered by nobody.
func why(a migrate.Action) func(State) string {
	return func(s State) string {
		m := s.Snap.Migration
		switch {
		case !m.Known():
			return "where the move stands is not known yet"
		case Orphaned(s.Snap):
			return m.Value.Node + ", which does the move, does not answer"
		}
		return m.Value.WhyNot(a)
	}
}

// Orphaned is true where a move is not over and the node that does it is silent:
// what is known of it is the last that it wrote down, and nobody works at it.
func Orphaned(snap *feed.Snapshot) bool {
	m := snap.Migration.Value
	return !m.Over() && snap.Status.Value.Away(m.Node)
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
	case len(Sources(s.Snap)) == 0:
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

// Source is a node that serves the control plane from a SQLite file.
type Source struct{ Node, File string }

// Sources are the files that a move could begin with, by node. Where the
// authority names a node only that one's file counts.
func Sources(snap *feed.Snapshot) []Source {
	var out []Source
	v := snap.Status.Value
	for _, n := range v.Nodes {
		named := v.Authority == nil || v.Authority.Backend != core.BackendSQLite || v.Authority.Node == n.Name
		if named && n.Online && n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite && n.Info.Serving.File != "" {
			out = append(out, Source{n.Name, n.Info.Serving.File})
		}
	}
	return out
}

// chooseSource asks for the node whose file counts where there are several: none is taken by chance.
func chooseSource(s State) (Question, bool) {
	all := Sources(s.Snap)
	if len(all) < 2 {
		return Question{}, false
	}
	return Question{
		Title: "Which file is to be checked?", Confirm: "Check",
		Lines: []string{
			severalFiles(all),
			"Everything in it is checked and converted, and compared with the other files; nothing is written.",
		},
		Fields: []widget.Field{sourceField(s)},
	}, true
}

func sameCheck(s State, v []string) string {
	return "unibusd migrate-to-kv" + fromSource(s, v) + " --dry-run"
}

func runCheck(ctx context.Context, c Client, s State, v []string) (string, error) {
	from, err := sourceOf(s, v)
	if err != nil {
		return "", err
	}
	_, err = c.MigrateStart(ctx, from.Node, migrate.Options{DB: from.File, DryRun: true})
	return "The dry run has begun on " + from.Node, err
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
