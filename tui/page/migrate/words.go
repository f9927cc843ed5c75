package migrate

import (
	"fmt"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// begin is the page before there was a move, with what a dry run found.
func begin(s page.Scene, st migrate.Status) []string {
	if st.Result != "" || len(st.Problems) > 0 || st.Error != nil || len(st.Drift) > 0 {
		lines := s.Prose(theme.Strong, "A dry run was made; nothing was written.")
		if st.Result != "" {
			lines = s.Prose(theme.Strong, st.Result)
		}
		lines = append(append(lines, stopped(s, st)...), problems(s, st)...)
		return append(append(lines, drift(s, st)...), facts(s, st)...)
	}
	node, file := action.Source(s.Snap)
	if node == "" {
		text := "No move was ever started here."
		if a := s.Snap.Status.Value.Authority; a != nil && a.Backend == core.BackendKV {
			text = "The control plane is in KV; there is nothing to move."
		}
		return s.Prose(theme.Strong, text)
	}
	lines := s.Prose(theme.Strong, fmt.Sprintf("The control plane is in SQLite on %s alone: were its disk lost, so were users and rooms.", node))
	lines = append(lines, s.Prose(theme.Plain, "A move takes a backup, copies it to a replica on every node, and compares every row there. SQLite serves all the while. Then it waits for your cutover; until then it can be given up, and until you finish it can be rolled back.")...)
	f := page.Facts{Scene: s, Label: 8}
	f.Add("source", file+" on "+node)
	if c := s.Snap.Status.Value.Counts; c != nil {
		f.Add("holds", fmt.Sprintf("%s, %s, %s, %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"), widget.Plural(c.Keys, "sealed key", "sealed keys")))
	}
	return append(append(lines, ""), f.Lines...)
}

// Sentence is what a state of a move means to somebody who has to decide.
func Sentence(st migrate.Status) string {
	switch {
	case st.Error == nil && st.Result != "" && !st.Running && !st.Paused:
		return st.Result // the daemon's own word, once it rests
	case st.Error != nil && !st.Over():
		return fmt.Sprintf("The move stopped in %s. %s", st.State, serving(st))
	case st.Paused:
		return fmt.Sprintf("Paused in %s. %s Resume goes on from the checkpoint.", st.State, serving(st))
	}
	return atWork(st)
}

// serving says who serves while a move has stopped.
func serving(st migrate.Status) string {
	switch st.State {
	case migrate.StateCutover, migrate.StateRollback:
		return fmt.Sprintf("Until %s has found out who serves, nothing is served. Resume.", st.Node)
	case migrate.StateSoak, migrate.StateDone:
		return "The nodes serve from KV; nothing has changed for users."
	case migrate.StateFence:
		return fmt.Sprintf("SQLite on %s may still refuse writes: resume lifts the fence.", st.Node)
	}
	return fmt.Sprintf("SQLite on %s still serves; nothing has changed for users.", st.Node)
}

func atWork(st migrate.Status) string {
	switch st.State {
	case migrate.StatePreflight:
		return fmt.Sprintf("Checking whether everything can be moved. SQLite on %s serves; nothing is written yet.", st.Node)
	case migrate.StateBackup:
		return fmt.Sprintf("Taking a backup of SQLite on %s and reading it back. Nothing has changed for users.", st.Node)
	case migrate.StateCopy:
		return fmt.Sprintf("Copying from the backup to the replicas. SQLite on %s still serves; nothing has changed for users.", st.Node)
	case migrate.StateVerify:
		if st.Verified {
			return fmt.Sprintf("Every bucket is equal on every node. SQLite on %s still serves, and the move waits for your cutover.", st.Node)
		}
		return fmt.Sprintf("Comparing every bucket on every node with the backup. SQLite on %s still serves.", st.Node)
	case migrate.StateFence:
		return fmt.Sprintf(`SQLite on %s refuses writes for a moment while the last changes are copied and compared. Whoever changes something is told "the control plane is moving" and tries again. The fence lifts by itself within 30 s.`, st.Node)
	case migrate.StateCutover:
		return `The authority moves to KV; every node swaps without a restart. Whoever changes something is told "the control plane is moving" and tries again.`
	case migrate.StateRollback:
		return fmt.Sprintf(`KV is shut, and all of it is written to a new SQLite file on %s. Whoever changes something is told "the control plane is moving" and tries again. If it fails, KV serves again.`, st.Node)
	}
	return atRest(st)
}

func atRest(st migrate.Status) string {
	switch st.State {
	case migrate.StateSoak:
		return fmt.Sprintf("The nodes serve from KV. SQLite on %s is kept, read-only. Finish when all is well; until then you can roll back.", st.Node)
	case migrate.StateDone:
		return fmt.Sprintf("Done: the nodes serve from KV. SQLite on %s is kept, read-only.", st.Node)
	case migrate.StateRolledBack:
		return fmt.Sprintf("Rolled back: SQLite on %s serves, with everything that was written since the cutover.", st.Node)
	case migrate.StateAborted:
		return fmt.Sprintf("The move was given up; SQLite on %s serves as it did before.", st.Node)
	}
	return "No move was ever started here."
}
