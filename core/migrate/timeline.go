package migrate

import (
	"slices"
	"time"

	"unibus/core"
)

// StateDuration is the time that a migration spent in one state, over all visits:
// a fence that was lifted is entered again.
type StateDuration struct {
	State   State       `json:"state"`
	Entered core.Millis `json:"at"`      // when it was last entered; 0: never
	TookMS  int64       `json:"took_ms"` // until it ended, or until now
	Visits  int         `json:"visits"`
	Current bool        `json:"present"` // the migration is in it now
}

// Duration is TookMS as a duration.
func (s StateDuration) Duration() time.Duration { return time.Duration(s.TookMS) * time.Millisecond }

// Timeline returns the states that the migration was in and those ahead of it, in
// order. A rollback follows soak; an abort ends the line.
func (s Status) Timeline(now core.Millis) []StateDuration {
	durations := s.durations(now)
	var out []StateDuration
	for _, x := range s.states() {
		d := durations[x]
		d.State, d.Current = x, x == s.State
		out = append(out, d)
	}
	return out
}

// states are the states of this timeline.
func (s Status) states() []State {
	all := States()
	switch s.State {
	case StateRollback, StateRolledBack:
		return append(all[:slices.Index(all, StateDone)], StateRollback, StateRolledBack)
	case StateAborted:
		was := slices.DeleteFunc(all, func(x State) bool { return !s.visited(x) })
		return append(was, StateAborted)
	}
	return all
}

func (s Status) visited(x State) bool {
	return slices.ContainsFunc(s.History, func(p StateTransition) bool { return p.State == x })
}

// durations adds up the visits of each state. The last one lasts until now, unless
// the migration has ended.
func (s Status) durations(now core.Millis) map[State]StateDuration {
	out := map[State]StateDuration{}
	past := s.History
	if len(past) == 0 && s.Since != 0 {
		past = []StateTransition{{s.State, s.Since}}
	}
	for i, p := range past {
		end := now
		switch {
		case i+1 < len(past):
			end = past[i+1].At
		case s.HasEnded():
			end = p.At
		}
		d := out[p.State]
		d.Entered = p.At
		d.TookMS += max(0, int64(end-p.At))
		d.Visits++
		out[p.State] = d
	}
	return out
}

// AuthorityUnsettled is true if the authority was to move and nothing is running:
// the outcome waits for an operator, or for a majority.
func (s Status) AuthorityUnsettled() bool {
	return (s.State == StateCutover || s.State == StateRollback) && !s.Running && s.Error != nil
}

// HasEnded is true if nothing is left to do for the migration.
func (s Status) HasEnded() bool {
	switch s.State {
	case StateNone, "", StateAborted, StateDone, StateRolledBack:
		return true
	}
	return false
}

// WorkDuration is how long backup, copy and verify took, to compare with
// EstimateMS; 0 until every bucket was compared. It includes pauses.
func (s Status) WorkDuration() time.Duration {
	if s.ComparedAt == 0 {
		return 0
	}
	for _, p := range s.History {
		if p.State == StateBackup && p.At <= s.ComparedAt {
			return time.Duration(s.ComparedAt-p.At) * time.Millisecond
		}
	}
	return 0
}

// WillCutOver is true before verify has ended, if the migration then continues to
// the cutover without waiting.
func (s Status) WillCutOver() bool {
	return s.Options.Cutover && s.Active() && !s.Verified && s.State != StateFence
}

// DivergentFiles returns the other nodes' files that differ from the source.
func (s Status) DivergentFiles() []Divergence {
	return slices.DeleteFunc(slices.Clone(s.Divergences), Divergence.Equal)
}

// Equal is true if every table of the two files was seen to hold the same rows.
func (d Divergence) Equal() bool {
	return d.Error == "" && !slices.ContainsFunc(d.Tables, func(t TableDivergence) bool { return !t.Equal() })
}

// CopiedRows returns how many rows the copy or the export has done, and of how
// many.
func (s Status) CopiedRows() (done, total int) {
	for _, p := range s.Progress {
		done, total = done+p.Done, total+p.Total
	}
	return done, total
}
