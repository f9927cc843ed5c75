package action

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/widget"
)

func rateField(rate int) widget.Field {
	f := widget.Field{Label: fieldRate, Hint: "as fast as it goes", Check: func(v string) error {
		if _, err := parseRate(v); err != nil {
			return core.Errorf(core.KindInvalid, "Give a number of rows a second; 0 or nothing is no limit.")
		}
		return nil
	}}
	if rate > 0 {
		f.Value = strconv.Itoa(rate)
	}
	return f
}

// parseRate reads a limit; "" is no limit.
func parseRate(v string) (int, error) {
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, core.Errorf(core.KindInvalid, "%q is not a number of rows a second", v)
	}
	return n, nil
}

func limitQuestion(s State) Question {
	return Question{
		Title: "How fast may the copy write?", ConfirmLabel: "Set",
		Lines:  []string{"A limit holds at once, and leaves disks and network to the users. Without one the copy goes as fast as it can. Users see nothing of either."},
		Fields: []widget.Field{rateField(s.Snapshot.Migration.Value.Options.Rate)},
	}
}

func limitCommand(_ State, v []string) string {
	rate := "0"
	if len(v) > 0 && v[0] != "" {
		rate = v[0]
	}
	return "unibusd migration limit --rate " + ShellQuote(rate)
}

func runLimit(ctx context.Context, c Client, s State, v []string) (string, error) {
	rate, err := parseRate(v[0])
	if err != nil {
		return "", err
	}
	if _, err := c.MigrateLimit(ctx, s.Snapshot.Migration.Value.Node, rate); err != nil {
		return "", err
	}
	if rate == 0 {
		return "The copy goes as fast as it can", nil
	}
	return fmt.Sprintf("The copy writes at most %s rows a second", widget.FormatCount(rate)), nil
}

func abortQuestion(s State) Question {
	m := s.Snapshot.Migration.Value
	if m.State == migrate.StateRollback {
		return Question{
			Title: "Give up the rollback?", ConfirmLabel: "Give up",
			Lines: []string{
				"KV is opened again on all nodes and serves as it did; the SQLite file that was being written is removed. Nothing is lost.",
				"Where the authority has moved back already, it goes to KV again as long as nobody has served the new file; once it was served, that stays, and the page says so.",
			},
		}
	}
	backup := "The backup is kept."
	if m.Options.NoBackup {
		backup = "The copy that it works from is removed."
	}
	return Question{
		Title: "Give up the move?", ConfirmLabel: "Give up",
		Lines: []string{
			fmt.Sprintf("Exactly what was is restored: SQLite on %s goes on serving, and what was copied is removed from KV. %s", m.Node, backup),
			"Users see nothing of it. The move can be started again at any time.",
		},
	}
}

func cutoverQuestion(s State) Question {
	v, m := s.Snapshot.Status.Value, s.Snapshot.Migration.Value
	lines := []string{
		fmt.Sprintf("SQLite on %s refuses writes while the last changes are copied and compared; then all %s nodes swap, without a restart.", m.Node, NumberWord(max(1, v.Expected))),
		`Users keep their sessions and their messages. Whoever changes something is told "the control plane is moving" and tries again, for a second or two.`,
		fmt.Sprintf("If it fails, the fence lifts by itself within 30 s and SQLite on %s serves as before.", m.Node),
	}
	if away := downNodesText(v.Nodes); away != "" {
		lines = append(lines, away+" not there, and the cutover is refused until every node answers: the last changes are compared on each.")
	}
	lines = append(lines, "You can roll back until you finish; what is written until then is carried back.")
	return Question{Title: fmt.Sprintf("Move the control plane of %s to KV?", v.Cluster), Lines: lines, ConfirmLabel: "Move"}
}

func rollbackQuestion(s State) Question {
	v, m := s.Snapshot.Status.Value, s.Snapshot.Migration.Value
	lines := []string{
		fmt.Sprintf("KV is shut on all nodes, all that it holds is written to a new SQLite file on %s and read back, and that file serves. Nothing written since the cutover is lost.", m.Node),
		fmt.Sprintf(`Whoever changes something or connects is told "the control plane is moving" and tries again, for about %s. Then users' sessions on the other nodes end, and come back on %s.`, widget.FormatDuration(estimateRollback(m)), m.Node),
		fmt.Sprintf("If it fails before the authority has moved, KV serves again. %s must stay up: where it stops in the middle nothing serves until it is back.", m.Node),
		fmt.Sprintf("Afterwards %s serves alone: were its disk lost, so were users and rooms. The move can be started again.", m.Node),
	}
	if away := downNodesText(v.Nodes); away != "" {
		lines = append(lines, away+" not there, and will follow once back.")
	}
	return Question{Title: fmt.Sprintf("Bring the control plane of %s back to SQLite?", v.Cluster), Lines: lines, ConfirmLabel: "Roll back"}
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

func finishQuestion(s State) Question {
	m := s.Snapshot.Migration.Value
	return Question{
		Title: fmt.Sprintf("Finish the move of %s?", s.Snapshot.Status.Value.Cluster), ConfirmLabel: "Finish",
		Lines: []string{
			"KV stays the control plane, and the way back ends here: afterwards `unibusd backup` writes a SQLite file of what there is.",
			fmt.Sprintf("The old file on %s and the backup are kept, and no node serves them. Users see nothing of it.", m.Node),
			"There is no hurry: until you finish, everything works, and can be rolled back.",
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
	return joinNames(down) + pluralize(len(down), " is", " are")
}
