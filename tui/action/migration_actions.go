package action

import (
	"context"
	"path/filepath"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

// migrationActions are in the order in which the page shows them.
func migrationActions() []Action {
	return []Action{
		{
			Name: "migrate start", Aliases: []string{"migrate to kv"}, Key: "b", Scope: PageMigrate, Confirmation: YesNo,
			Help:        "start moving the control plane from SQLite to KV",
			Unavailable: startUnavailable(migrate.ActionStart), Question: startQuestion, Command: startCommand, Run: runStart,
			IsOver: func(s Input) bool { return migrationStepIsOver(migrate.ActionStart, s.Snapshot.Migration.Value) },
			Undo:   undoOnSame("migrate abort", "aborts it and restores what was"),
		},
		{
			Name: "migrate check", Aliases: []string{"migrate dry-run", "dry-run"}, Key: "D", Scope: PageMigrate,
			Help:        "dry run: check and convert everything, write nothing",
			Unavailable: startUnavailable(migrate.ActionCheck), FirstQuestion: checkQuestion, Command: checkCommand, Run: runCheck,
			IsOver: func(s Input) bool { return migrationStepIsOver(migrate.ActionCheck, s.Snapshot.Migration.Value) },
		},
		migrationAction("P", NoConfirmation, "pause the copy; nothing is lost", migrate.ActionPause, nil, Client.MigratePause, "The migration is paused"),
		migrationAction("R", NoConfirmation, "continue after a pause or an error", migrate.ActionResume, nil, Client.MigrateResume, "The migration continues"),
		{
			Name: "migrate limit", Key: "L", Scope: PageMigrate, Confirmation: YesNo,
			Help:        "limit the rows per second that the copy writes",
			Unavailable: migrationUnavailable(migrate.ActionLimit), Question: limitQuestion, Command: limitCommand, Run: runLimit, Undo: undoLimit,
		},
		migrationAction("A", YesNo, "cancel and restore the previous state", migrate.ActionAbort, abortQuestion, Client.MigrateAbort, "The migration is being aborted"),
		migrationAction("X", TypeClusterName, "switch the nodes to KV", migrate.ActionCutover, cutoverQuestion, Client.MigrateCutover, "The cutover has started"),
		migrationAction("U", TypeClusterName, "return the control plane to SQLite", migrate.ActionRollback, rollbackQuestion, Client.MigrateRollback, "The rollback has started"),
		migrationAction("F", TypeClusterName, "finish for good; no rollback afterward", migrate.ActionFinish, finishQuestion, Client.MigrateFinish, "The migration is finished"),
		{
			Name: "migrate report", Aliases: []string{"report"}, Key: "W", Scope: PageMigrate, ChangesNothing: true,
			Help:        "save the migration report as text and as JSON",
			Unavailable: reportUnavailable,
			Command:     func(s Input, _ []string) string { return "unibusd migration report --out " + reportName(s) + ".txt" },
			Run:         func(_ context.Context, _ Client, s Input, _ []string) (string, error) { return saveReport(s) },
		},
	}
}

// nodeCall is a method expression such as Client.MigratePause.
type nodeCall func(c Client, ctx context.Context, node string) (migrate.Status, error)

func migrationAction(key string, confirmation Confirmation, help string, a migrate.Action, question func(Input) Question, call nodeCall, doneText string) Action {
	return Action{
		Name: "migrate " + string(a), Key: key, Scope: PageMigrate, Confirmation: confirmation, Help: help, Unavailable: migrationUnavailable(a), Question: question,
		Undo:          undoMigration(a),
		IsOver:        func(s Input) bool { return migrationStepIsOver(a, s.Snapshot.Migration.Value) },
		NeedsNoQuorum: func(Input) bool { return a == migrate.ActionPause },
		Command:       func(Input, []string) string { return "unibusd migration " + string(a) },
		Run: func(ctx context.Context, c Client, s Input, _ []string) (string, error) {
			_, err := call(c, ctx, s.Snapshot.Migration.Value.Node)
			return doneText, err
		},
	}
}

// migrationStepIsOver is true once a step that was begun has ended, in whichever way.
func migrationStepIsOver(a migrate.Action, st migrate.Status) bool {
	switch a {
	case migrate.ActionPause:
		return !st.Paused
	case migrate.ActionCutover:
		return !st.Running || st.State == migrate.StateSoak
	case migrate.ActionFinish:
		return false
	}
	return !st.Running || st.Paused
}

// undoMigration is the action that takes a step of the migration back; nil where none does.
func undoMigration(a migrate.Action) func(Done) (Undo, bool) {
	switch a {
	case migrate.ActionPause:
		return undoOnSame("migrate resume", "continues it")
	case migrate.ActionResume:
		return undoOnSame("migrate pause", "pauses it again")
	case migrate.ActionCutover:
		return undoOnSame("migrate rollback", "rolls back, once the cutover is over and until you finish")
	}
	return nil
}

// migrationUnavailable is the daemon's own rule. The console adds that a
// migration cannot be controlled while its node is down.
func migrationUnavailable(a migrate.Action) func(Input) string {
	return func(s Input) string {
		m := s.Snapshot.Migration
		switch {
		case !m.Known():
			return "the state of the migration is not known yet"
		case MigrationNodeDown(s.Snapshot):
			return m.Value.Node + ", which runs the migration, does not answer"
		}
		return m.Value.Unavailable(a)
	}
}

// MigrationNodeDown is true if the node that runs an unfinished migration does
// not answer. The last report of that node is then out of date.
func MigrationNodeDown(snap *feed.Snapshot) bool {
	m := snap.Migration.Value
	return !m.HasEnded() && snap.Status.Value.IsSilent(m.Node)
}

// startUnavailable adds what the migration cannot know: whether there is a source
// and a target.
func startUnavailable(a migrate.Action) func(Input) string {
	return func(s Input) string {
		if reason := migrationUnavailable(a)(s); reason != "" {
			return reason
		}
		return sourceUnavailable(s)
	}
}

func sourceUnavailable(s Input) string {
	v := s.Snapshot.Status.Value
	switch {
	case v.Authority != nil && v.Authority.Backend == core.BackendKV:
		return "the control plane is in KV already"
	case !v.Clustered:
		return "this node has no routes: a migration needs a cluster"
	case len(Sources(s.Snapshot)) == 0:
		return "no node serves the control plane from SQLite"
	case v.Meta.Leader == "":
		return "the meta group has no leader"
	}
	return ""
}

func reportUnavailable(s Input) string {
	if s.NoFiles {
		return "this console runs on another machine than you, and writes no files"
	}
	if m := s.Snapshot.Migration; !m.Known() || m.Value.ID == "" && m.Value.Options.DB == "" {
		return "there is no migration yet"
	}
	return ""
}

// SQLiteFile is a node and the file from which it serves the control plane.
type SQLiteFile struct{ Node, File string }

// Sources are the files that a migration could start from, by node. If the
// authority names a node, only that node's file counts.
func Sources(snap *feed.Snapshot) []SQLiteFile {
	var out []SQLiteFile
	v := snap.Status.Value
	for _, n := range v.Nodes {
		counts := v.Authority == nil || v.Authority.Backend != core.BackendSQLite || v.Authority.Node == n.Name
		if counts && n.Online && n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite && n.Info.Serving.File != "" {
			out = append(out, SQLiteFile{n.Name, n.Info.Serving.File})
		}
	}
	return out
}

// checkQuestion asks for the source if there are several: the console must not
// pick one.
func checkQuestion(s Input) (Question, bool) {
	sources := Sources(s.Snapshot)
	if len(sources) < 2 {
		return Question{}, false
	}
	return Question{
		Title: "Check which file?", ConfirmLabel: "Check",
		Lines: []string{
			sourcesText(sources),
			"Every row is checked, converted and compared with the other files. Nothing is written.",
		},
		Fields: []widget.Field{sourceField(s)},
	}, true
}

func checkCommand(s Input, v []string) string {
	return "unibusd migrate-to-kv" + sourceFlags(s, v) + " --dry-run"
}

func runCheck(ctx context.Context, c Client, s Input, v []string) (string, error) {
	source, err := parseSource(s, v)
	if err != nil {
		return "", err
	}
	_, err = c.MigrateStart(ctx, source.Node, migrate.Options{DB: source.File, DryRun: true})
	return "The dry run has started on " + source.Node, err
}

// reportName is the common part of a report's two file names.
func reportName(s Input) string { return "unibus-migration-" + s.Now.Format("20060102-150405") }

// saveReport writes the migration as text and as JSON. It never overwrites a
// file.
func saveReport(s Input) (string, error) {
	base := filepath.Join(s.ReportDir, reportName(s))
	for _, f := range []struct {
		end    string
		asJSON bool
	}{{".txt", false}, {".json", true}} {
		if err := s.Snapshot.Migration.Value.SaveReport(base+f.end, f.asJSON, s.Now); err != nil {
			return "", err
		}
	}
	if abs, err := filepath.Abs(base); err == nil {
		base = abs
	}
	return "Saved " + base + ".txt and .json", nil
}
