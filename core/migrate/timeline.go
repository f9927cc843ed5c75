package migrate

import (
	"slices"
	"time"

	"unibus/core"
)

// Stay is the time that a move spent in one state: all of its visits together,
// for a fence that was lifted is entered again.
type Stay struct {
	State   State       `json:"state"`
	At      core.Millis `json:"at"`      // when it was entered last; 0: never
	Took    int64       `json:"took_ms"` // until it was left, or until now
	Visits  int         `json:"visits"`
	Present bool        `json:"present"` // the move is in it
}

// For is Took as a duration.
func (s Stay) For() time.Duration { return time.Duration(s.Took) * time.Millisecond }

// Stays returns the line of a move for a timeline: the states that it was in and
// those ahead of it, in order. A rollback leaves the line at soak, an abort where it came.
func (s Status) Stays(now core.Millis) []Stay {
	spent := s.spent(now)
	var out []Stay
	for _, x := range s.line() {
		stay := spent[x]
		stay.State, stay.Present = x, x == s.State
		out = append(out, stay)
	}
	return out
}

// line is the states of this move's own way.
func (s Status) line() []State {
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
	return slices.ContainsFunc(s.History, func(p Passage) bool { return p.State == x })
}

// spent sums up the visits of each state. The last one lasts until now, unless
// it is one in which nothing goes on.
func (s Status) spent(now core.Millis) map[State]Stay {
	out := map[State]Stay{}
	past := s.History
	if len(past) == 0 && s.Since != 0 {
		past = []Passage{{s.State, s.Since}}
	}
	for i, p := range past {
		end := now
		switch {
		case i+1 < len(past):
			end = past[i+1].At
		case s.Over():
			end = p.At
		}
		stay := out[p.State]
		stay.At = p.At
		stay.Took += max(0, int64(end-p.At))
		stay.Visits++
		out[p.State] = stay
	}
	return out
}

// Stuck is true where the authority is on its way and nobody works at it: what
// comes of it waits for an operator, or for a majority.
func (s Status) Stuck() bool {
	return (s.State == StateCutover || s.State == StateRollback) && !s.Running && s.Error != nil
}

// Over is true where nothing of the move is left to do.
func (s Status) Over() bool {
	switch s.State {
	case StateNone, "", StateAborted, StateDone, StateRolledBack:
		return true
	}
	return false
}

// Took is how long backup, copy and verify lasted, to be held against Estimate;
// 0 until every bucket was compared. Pauses are part of it.
func (s Status) Took() time.Duration {
	if s.Compared == 0 {
		return 0
	}
	for _, p := range s.History {
		if p.State == StateBackup && p.At <= s.Compared {
			return time.Duration(s.Compared-p.At) * time.Millisecond
		}
	}
	return 0
}

// CutsOver is true before verify has ended where the move goes on without waiting for the operator then.
func (s Status) CutsOver() bool {
	return s.Options.Cutover && s.Active() && !s.Verified && s.State != StateFence
}

// Drifted returns what the other nodes' own files hold otherwise than the source; equal files are left out.
func (s Status) Drifted() []Drift {
	return slices.DeleteFunc(slices.Clone(s.Drift), Drift.Equal)
}

// Equal is true where every table of the two files was seen to hold the same.
func (d Drift) Equal() bool {
	return d.Error == "" && !slices.ContainsFunc(d.Tables, func(t TableDrift) bool { return !t.Equal() })
}

// Rows returns how many rows the copy or the export has done, and of how many.
func (s Status) Rows() (done, total int) {
	for _, p := range s.Progress {
		done, total = done+p.Done, total+p.Total
	}
	return done, total
}
