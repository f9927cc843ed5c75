package action

import (
	"fmt"
	"time"

	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/widget"
)

func abortQuestion(s Input) Question {
	m := s.Snapshot.Migration.Value
	if m.State == migrate.StateRollback {
		return Question{
			Title: "Abort the rollback?", ConfirmLabel: "Abort",
			Lines: []string{
				"KV serves again on all nodes, and the unfinished SQLite file is removed. Nothing is lost.",
				"If the authority is already back at SQLite, it returns to KV unless a node has served the new file. Once served, the new file stays in force, and the page says so.",
			},
		}
	}
	backup := "The backup is kept."
	if m.Options.NoBackup {
		backup = "The temporary copy is removed."
	}
	return Question{
		Title: "Abort the migration?", ConfirmLabel: "Abort",
		Lines: []string{
			fmt.Sprintf("The previous state is restored: SQLite on %s keeps serving, and the copied rows are removed from KV. %s", m.Node, backup),
			"Users notice nothing. You can start the migration again at any time.",
		},
	}
}

func cutoverQuestion(s Input) Question {
	v, m := s.Snapshot.Status.Value, s.Snapshot.Migration.Value
	lines := []string{
		fmt.Sprintf("SQLite on %s refuses writes while the last changes are copied and compared. Then all %s nodes switch, without a restart.", m.Node, NumberWord(max(1, v.Expected))),
		`Users keep their sessions and messages. For a second or two, changes fail with "the control plane is moving" and must be retried.`,
		fmt.Sprintf("If it fails, the fence ends within 30 s and SQLite on %s serves as before.", m.Node),
	}
	if down := downNodesText(v.Nodes); down != "" {
		lines = append(lines, down+". The cutover is refused until every node answers, because each must compare the last changes.")
	}
	lines = append(lines, "You can roll back until you finish. A rollback keeps everything written until then.")
	return Question{Title: fmt.Sprintf("Move the control plane of %s to KV?", v.Cluster), Lines: lines, ConfirmLabel: "Move"}
}

func rollbackQuestion(s Input) Question {
	v, m := s.Snapshot.Status.Value, s.Snapshot.Migration.Value
	lines := []string{
		fmt.Sprintf("KV is closed on all nodes and exported to a new SQLite file on %s, which is verified and then serves. Nothing written since the cutover is lost.", m.Node),
		fmt.Sprintf(`For about %s, changes and connections fail with "the control plane is moving" and must be retried. Then sessions on the other nodes end and reconnect to %s.`, widget.FormatDuration(estimateRollback(m)), m.Node),
		fmt.Sprintf("If it fails before the authority moves, KV serves again. %s must stay up: if it stops halfway, nothing serves until it is back.", m.Node),
		fmt.Sprintf("Afterward %s serves alone: if its disk fails, users and rooms are lost. You can start the migration again.", m.Node),
	}
	if down := downNodesText(v.Nodes); down != "" {
		lines = append(lines, down+" and will follow once up.")
	}
	return Question{Title: fmt.Sprintf("Return the control plane of %s to SQLite?", v.Cluster), Lines: lines, ConfirmLabel: "Roll back"}
}

// estimateRollback guesses the duration of a rollback. Admission leases expire
// after 3 s; the export writes some 20,000 rows per second.
func estimateRollback(m migrate.Status) time.Duration {
	rows := 0
	for _, b := range m.Buckets {
		rows += b.Source.Count
	}
	return 4*time.Second + time.Duration(rows/20)*time.Millisecond
}

func finishQuestion(s Input) Question {
	m := s.Snapshot.Migration.Value
	return Question{
		Title: fmt.Sprintf("Finish the migration of %s?", s.Snapshot.Status.Value.Cluster), ConfirmLabel: "Finish",
		Lines: []string{
			"KV stays the control plane, and a rollback is no longer possible. Afterward `unibusd backup` exports KV to a SQLite file.",
			fmt.Sprintf("The old file on %s and the backup are kept, but no node serves them. Users notice nothing.", m.Node),
			"There is no hurry: everything works before you finish, and you can still roll back.",
		},
	}
}

func downNodesText(nodes []cluster.Node) string {
	var down []string
	for _, x := range nodes {
		if !x.Online {
			down = append(down, x.Name)
		}
	}
	if down == nil {
		return ""
	}
	return widget.JoinNames(down) + pluralize(len(down), " is down", " are down")
}
