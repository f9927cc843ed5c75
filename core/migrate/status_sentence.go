package migrate

import "fmt"

// Sentence says what the state means to a person who has to decide.
func (s Status) Sentence() string {
	switch {
	case s.ResultIsCurrent():
		return s.Result
	case s.Aborting != "" && s.Running:
		return fmt.Sprintf("The migration is being undone: the fence first, then the rows in KV, %s so far. SQLite on %s serves.", count(s.Removed, "key"), s.Node)
	case s.Error != nil && !s.HasEnded():
		return fmt.Sprintf("The migration stopped in %s. %s", s.State, s.servingSentence())
	case s.Error != nil && s.State == StateAborted:
		return "The migration ended, because another node changed the authority. Its record says which store serves now."
	case s.Paused && s.State == StateVerify && s.Verified:
		next := "Resume waits for your cutover."
		if s.Options.Cutover {
			next = "Resume goes on to the cutover."
		}
		return fmt.Sprintf("Paused in verify; every bucket is equal on every node. %s %s", s.servingSentence(), next)
	case s.Paused:
		return fmt.Sprintf("Paused in %s. %s Resume goes on from the checkpoint.", s.State, s.servingSentence())
	}
	return s.runningSentence()
}

// ResultIsCurrent is true if Result is the sentence: the migration rests, or only
// waits for the nodes to follow.
func (s Status) ResultIsCurrent() bool {
	settled := s.State == StateSoak || s.HasEnded()
	return s.Error == nil && s.Result != "" && (settled || !s.Running) && !s.Paused
}

// servingSentence says what serves while a migration has stopped.
func (s Status) servingSentence() string {
	switch s.State {
	case StateCutover, StateRollback:
		return fmt.Sprintf("Nothing is served until %s has found out which store is in force. Resume.", s.Node)
	case StateSoak, StateDone:
		return "The nodes serve from KV; nothing has changed for users."
	case StateFence:
		return fmt.Sprintf("SQLite on %s may still refuse writes: resume lifts the fence.", s.Node)
	}
	return fmt.Sprintf("SQLite on %s still serves; nothing has changed for users.", s.Node)
}

func (s Status) runningSentence() string {
	switch s.State {
	case StatePreflight:
		return fmt.Sprintf("Checking whether everything can be moved. SQLite on %s serves; nothing is written yet.", s.Node)
	case StateBackup:
		return fmt.Sprintf("Taking a backup of SQLite on %s and reading it back. Nothing has changed for users.", s.Node)
	case StateCopy:
		return fmt.Sprintf("Copying from the backup to the replicas. SQLite on %s still serves; nothing has changed for users.", s.Node)
	case StateVerify:
		if s.Verified {
			return fmt.Sprintf("Every bucket is equal on every node. SQLite on %s still serves, and the migration waits for your cutover.", s.Node)
		}
		return fmt.Sprintf("Comparing every bucket on every node with the backup. SQLite on %s still serves.", s.Node)
	case StateFence:
		return fmt.Sprintf(`SQLite on %s refuses writes for a moment while the last changes are copied and compared. Changes get "the control plane is moving" meanwhile and can be repeated. The fence lifts by itself within 30 s.`, s.Node)
	case StateCutover:
		return `The authority moves to KV; every node swaps without a restart. Changes get "the control plane is moving" meanwhile and can be repeated.`
	case StateRollback:
		return fmt.Sprintf(`KV is closed, and all of it is written to a new SQLite file on %s. Changes get "the control plane is moving" meanwhile and can be repeated. If it fails, KV serves again.`, s.Node)
	}
	return s.restingSentence()
}

func (s Status) restingSentence() string {
	switch s.State {
	case StateSoak:
		return fmt.Sprintf("The nodes serve from KV. SQLite on %s is kept, read-only. Finish when all is well; until then you can roll back.", s.Node)
	case StateDone:
		return fmt.Sprintf("Done: the nodes serve from KV. SQLite on %s is kept, read-only.", s.Node)
	case StateRolledBack:
		return fmt.Sprintf("Rolled back: SQLite on %s serves, with everything that was written since the cutover.", s.Node)
	case StateAborted:
		return fmt.Sprintf("The migration was aborted; SQLite on %s serves as it did before.", s.Node)
	}
	return "No migration was ever started here."
}
