package action

import (
	"context"
	"fmt"
	"strconv"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

func moves() []Action {
	return []Action{
		{
			Name: "migrate start", Aliases: []string{"migrate to kv"}, Key: "b", Scope: "migrate", Danger: YesNo,
			Help: "begin to move the control plane from SQLite to KV",
			Why:  whyStart, Ask: askStart, Same: sameStart, Run: runStart,
		},
		simple("migrate pause", "P", None, "stop for a while; nothing is lost", whyPause, nil, "pause",
			Client.MigratePause, "The move is paused"),
		simple("migrate resume", "R", None, "go on from the checkpoint", whyResume, nil, "resume",
			Client.MigrateResume, "The move goes on"),
		simple("migrate abort", "A", YesNo, "give up and restore exactly what was", whyAbort, askAbort, "abort",
			Client.MigrateAbort, "The move was given up; everything is as it was"),
		simple("migrate cutover", "X", ClusterName, "let the nodes serve from KV", whyCutover, askCutover, "cutover",
			Client.MigrateCutover, "The cutover has begun"),
		simple("migrate finish", "F", ClusterName, "end the move for good", whyFinish, askFinish, "finish",
			Client.MigrateFinish, "The move is finished"),
		{
			Name: "migrate report", Aliases: []string{"report"}, Key: "W", Scope: "migrate", Local: true,
			Help: "write what is on this page to two files",
			Why: func(s State) string {
				if !s.Snap.Migration.Known() || s.Snap.Migration.Value.ID == "" {
					return "there was no move yet"
				}
				return ""
			},
			Same: func(State, []string) string { return "unibusd migration report" },
			Run: func(_ context.Context, _ Client, s State, _ []string) (string, error) {
				return saveReport(s)
			},
		},
	}
}

type nodeCall func(c Client, ctx context.Context, node string) (migrate.Status, error)

func simple(name, key string, d Danger, help string, why func(State) string, ask func(State) Question, cmd string, call nodeCall, done string) Action {
	return Action{
		Name: name, Key: key, Scope: "migrate", Danger: d, Help: help, Why: why, Ask: ask,
		Same: func(State, []string) string { return "unibusd migration " + cmd },
		Run: func(ctx context.Context, c Client, s State, _ []string) (string, error) {
			_, err := call(c, ctx, s.Snap.Migration.Value.Node)
			return done, err
		},
	}
}

// Source is the node that serves the control plane from SQLite, and its file.
func Source(snap *feed.Snapshot) (node, file string) {
	for _, n := range snap.Status.Value.Nodes {
		if n.Online && n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite && n.Info.Serving.File != "" {
			return n.Name, n.Info.Serving.File
		}
	}
	return "", ""
}

func whyStart(s State) string {
	v, m := s.Snap.Status.Value, s.Snap.Migration.Value
	node, _ := Source(s.Snap)
	switch {
	case m.Active():
		return "a move is under way"
	case v.Authority != nil && v.Authority.Backend == core.BackendKV:
		return "the control plane is in KV already"
	case !v.Clustered:
		return "this node has no routes: a move needs a cluster to move into"
	case node == "":
		return "no node serves the control plane from SQLite"
	case v.Meta.Leader == "":
		return "the meta group has no leader"
	}
	return ""
}

func askStart(s State) Question {
	node, file := Source(s.Snap)
	return Question{
		Title: fmt.Sprintf("Move the control plane of %s to KV?", s.Snap.Status.Value.Cluster), Confirm: "Start",
		Lines: []string{
			fmt.Sprintf("A backup of %s on %s is taken first, every row is copied from it, and every bucket is compared on every node.", file, node),
			"SQLite goes on serving, nothing changes for users. The move then waits for your cutover; until then it can be given up.",
		},
		Fields: []widget.Field{replicas(s)},
	}
}

func sameStart(s State, v []string) string {
	_, file := Source(s.Snap)
	n := "3"
	if len(v) > 0 {
		n = v[0]
	}
	return fmt.Sprintf("unibusd migrate-to-kv --db %s --replicas %s", file, n)
}

func runStart(ctx context.Context, c Client, s State, v []string) (string, error) {
	node, file := Source(s.Snap)
	n, err := strconv.Atoi(v[0])
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "%q is not a number of replicas", v[0])
	}
	if _, err := c.MigrateStart(ctx, node, migrate.Options{DB: file, Replicas: n}); err != nil {
		return "", err
	}
	return "The move has begun on " + node, nil
}

func whyPause(s State) string {
	m := s.Snap.Migration.Value
	switch {
	case !m.Active():
		return "nothing is moving"
	case m.Paused:
		return "it is paused already"
	case m.Verified || !m.Running || m.Options.DryRun:
		return "nothing is running"
	case m.State == migrate.StateFence:
		return "the fence is up; it falls by itself within 30 s"
	}
	return ""
}

func whyResume(s State) string {
	m := s.Snap.Migration.Value
	switch {
	case m.State == migrate.StateNone || m.State == "" || m.State == migrate.StateSoak || m.State == migrate.StateDone || m.State == migrate.StateAborted:
		return "nothing is left to go on with"
	case m.Running && !m.Paused:
		return "it is running"
	case m.State == migrate.StateVerify && m.Verified:
		return "it waits for the cutover"
	}
	return ""
}

func whyAbort(s State) string {
	m := s.Snap.Migration.Value
	switch {
	case m.Active():
		return ""
	case m.State == migrate.StateCutover, m.State == migrate.StateSoak, m.State == migrate.StateDone:
		return "after cutover the old backup would bring revoked users back"
	}
	return "nothing is moving"
}

func askAbort(s State) Question {
	m := s.Snap.Migration.Value
	return Question{
		Title: "Give up the move?", Confirm: "Give up",
		Lines: []string{fmt.Sprintf("Exactly what was is restored: SQLite on %s goes on serving, and what was copied is removed from KV. The backup is kept.", m.Node)},
	}
}

func whyCutover(s State) string {
	m := s.Snap.Migration.Value
	switch {
	case m.State == migrate.StateCutover, m.State == migrate.StateSoak, m.State == migrate.StateDone:
		return "it was done"
	case m.State == migrate.StateFence && m.Running:
		return "it is under way"
	case m.State != migrate.StateVerify || !m.Verified || m.Running:
		return "after verify"
	}
	return ""
}

func askCutover(s State) Question {
	v, m := s.Snap.Status.Value, s.Snap.Migration.Value
	lines := []string{
		fmt.Sprintf("All %s nodes swap at once, without a restart. Control calls pause for a moment; sessions stay.", Words(max(1, v.Expected))),
		fmt.Sprintf("SQLite on %s becomes read-only and is kept. This version has no way back.", m.Node),
	}
	if away := absent(v.Nodes); away != "" {
		lines = append(lines, away+" not there and will follow once back.")
	}
	return Question{Title: fmt.Sprintf("Move the control plane of %s to KV?", v.Cluster), Lines: lines, Confirm: "Move"}
}

func absent(nodes []cluster.Node) string {
	names := ""
	n := 0
	for _, x := range nodes {
		if !x.Online {
			if n++; names != "" {
				names += ", "
			}
			names += x.Name
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return names + " is"
	}
	return names + " are"
}

func whyFinish(s State) string {
	switch s.Snap.Migration.Value.State {
	case migrate.StateSoak:
		return ""
	case migrate.StateDone:
		return "it is finished"
	}
	return "after cutover"
}

func askFinish(s State) Question {
	return Question{
		Title: fmt.Sprintf("Finish the move of %s?", s.Snap.Status.Value.Cluster), Confirm: "Finish",
		Lines: []string{"KV stays the control plane. The SQLite file and the backup are kept and no longer looked at."},
	}
}

// Words writes small numbers as words.
func Words(n int) string {
	w := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
	if n >= 0 && n < len(w) {
		return w[n]
	}
	return strconv.Itoa(n)
}
