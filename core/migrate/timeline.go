package migrate

import (
	"slices"
	"time"

	"unibus/core"
)

// StateDuration is the time that a move spent in one state: all of its visits together,
// for a fence that was lifted is entered again.
type StateDuration struct {
	State   State       `json:"state"`
	Entered core.Millis `json:"at"`      // when it was entered last; 0: never
	TookMS  int64       `json:"took_ms"` // until it was left, or until now
	Visits  int         `json:"visits"`
	Current bool        `json:"present"` // the move is in it
}

// Duration is Took as a duration.
func (s StateDuration) Duration() time.Duration { return time.Duration(s.TookMS) * time.Millisecond }

// Timeline returns the line of a move for a timeline: the states that it was in and
// those ahead of it, in order. A rollback leaves the line at soak, an abort where it came.
func (s Status) Timeline(now core.Millis) []StateDuration {
	spent := s.durations(now)
	var out []StateDuration
	for _, x := range s.states() {
		stay := spent[x]
		stay.State, stay.Current = x, x == s.State
		out = append(out, stay)
	}
	return out
}

// states is the states of this move's own way.
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

// durations sums up the visits of each state. The last one lasts until now, unless
// it is one in which nothing goes on.
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
		stay := out[p.State]
		stay.Entered = p.At
		stay.TookMS += max(0, int64(end-p.At))
		stay.Visits++
		out[p.State] = stay
	}
	return out
}

// AuthorityUnsettled is true where the authority is on its way and nobody works at it: what
// comes of it waits for an operator, or for a majority.
func (s Status) AuthorityUnsettled() bool {
	return (s.State == StateCutover || s.State == StateRollback) && !s.Running && s.Error != nil
}

// HasEnded is true where nothing of the move is left to do.
func (s Status) HasEnded() bool {
	switch s.State {
	case StateNone, "", StateAborted, StateDone, StateRolledBack:
		return true
	}
	return false
}

// TookMS is how long backup, copy and verify lasted, to be held against Estimate;
// 0 until every bucket was compared. Pauses are part of it.
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

// WillCutOver is true before verify has ended where the move goes on without waiting for the operator then.
func (s Status) WillCutOver() bool {
	return s.Options.Cutover && s.Active() && !s.Verified && s.State != StateFence
}

// DivergentFiles returns what the other nodes' own files hold otherwise than the source; equal files are left out.
func (s Status) DivergentFiles() []Divergence {
	return slices.DeleteFunc(slices.Clone(s.Divergences), Divergence.Equal)
}

// Equal is true where every table of the two files was seen to hold the same.
func (d Divergence) Equal() bool {
	return d.Error == "" && !slices.ContainsFunc(d.Tables, func(t TableDivergence) bool { return !t.Equal() })
}

// CopiedRows returns how many rows the copy or the export has done, and of how many.
func (s Status) CopiedRows() (done, total int) {
	for _, p := range s.Progress {
		done, total = done+p.Done, total+p.Total
	}
	return done, total
}
