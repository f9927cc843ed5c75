//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"unibus/core/migrate"
)

// killCount is how often the source node is killed in each state, at least.
const killCount = 5

// killRecord is one kill -9 of the source node.
type killRecord struct {
	state   migrate.State // the journal's, after the death
	point   string
	outcome string
}

// killer kills the source node at random points of the states of a migration.
type killer struct {
	*runningMigration
	random *rand.Rand
	reach  map[migrate.State]time.Duration // how far into a state it aims
	seen   map[migrate.State]int
	table  []killRecord
}

// TestKilledInEveryState kills the source node of a migration of 200,000 rows
// again and again, at least five times in each state. Every time it returns it
// serves what it should and says what to do. In the end every row is on every
// node, and in a file again.
func TestKilledInEveryState(t *testing.T) {
	at := uint64(time.Now().UnixNano())
	t.Logf("random points by seed %d", at)
	k := &killer{
		runningMigration: newMigration(t, manyRows), random: rand.New(rand.NewPCG(at, at)), seen: map[migrate.State]int{},
		reach: map[migrate.State]time.Duration{
			migrate.StatePreflight: 3 * time.Second, migrate.StateBackup: 2 * time.Second, migrate.StateVerify: 3 * time.Second,
			migrate.StateFence: time.Second, migrate.StateCutover: 30 * time.Millisecond,
			migrate.StateSoak: 2 * time.Second, migrate.StateRollback: 6 * time.Second,
		},
	}
	defer k.report()
	states := append(migrate.States()[:7:7], migrate.StateRollback) // all but done
	for _, state := range states {
		k.killInState(state)
	}
	if e := k.journalEntry(); e.Migration.State == migrate.StateSoak || e.Migration.State == migrate.StateRolledBack {
		k.runRound()
	}
	k.requireComplete(k.seed.digests)
	k.roundTrip(k.seed.digests)
}

// runRound rolls a migration that has cut over back to SQLite.
func (k *killer) runRound() {
	k.t.Helper()
	k.runningMigration.awaitState(migrate.StatePreflight, func(e migrate.Entry) bool {
		return e.Migration.State == migrate.StateRolledBack && !e.Migration.Running
	})
}

// killInState kills until the state was hit often enough. A late kill counts for
// the state that it hit.
func (k *killer) killInState(state migrate.State) {
	k.t.Helper()
	const tries = 6 * killCount
	for range tries {
		if k.seen[state] >= killCount {
			return
		}
		b := k.killOnce(state)
		k.table = append(k.table, b)
		st := k.rollBackAndWait()
		k.requireConsistent(st)
		k.table[len(k.table)-1].outcome = outcome(st)
		if st.Active() && !st.Verified && !strings.Contains(st.Error.Next, "unibusd migration resume") {
			k.t.Errorf("killed in %s it does not say that it can be resumed: %v", b.state, st.Error)
		}
		if b.state != state {
			k.reach[state] = k.reach[state] * 2 / 3
			continue
		}
	}
	if k.seen[state] < killCount {
		k.t.Errorf("%s was hit %d times in %d tries, not %d times", state, k.seen[state], tries, killCount)
	}
}

// killOnce advances to a state and kills at a random moment in it.
func (k *killer) killOnce(state migrate.State) killRecord {
	k.t.Helper()
	var entered time.Time
	rows, after := -1, time.Duration(0)
	k.runningMigration.awaitState(state, func(e migrate.Entry) bool {
		in := stateOf(e) == state
		switch {
		case !in:
			return !entered.IsZero() // it has gone on: its present step is interrupted, whichever it is
		case entered.IsZero():
			entered = time.Now()
			rows, after = k.chooseMoment(state, e.Migration.Progress)
		}
		if state == migrate.StateCopy {
			return copiedRows(e.Migration.Progress) >= rows
		}
		return time.Since(entered) >= after
	})
	k.Kill(0)
	e := k.journalEntry()
	b := killRecord{state: stateOf(e), point: fmt.Sprintf("%.1f ms", float64(time.Since(entered).Microseconds())/1000)}
	switch {
	case b.state == migrate.StateCopy:
		b.point = fmt.Sprintf("%d rows", copiedRows(e.Migration.Progress))
	case e.Intent != nil:
		b.point += ", intent on disk"
	}
	if e.Migration.Running || b.state == migrate.StateSoak {
		k.seen[b.state]++
	}
	return b
}

// stateOf is the state in a journal.
func stateOf(e migrate.Entry) migrate.State {
	if e.Intent != nil && e.Intent.To.Backend == "kv" {
		return migrate.StateCutover
	}
	return e.Migration.State
}

// chooseMoment chooses the moment: a number of rows in the copy, else a time.
func (k *killer) chooseMoment(state migrate.State, p []migrate.Progress) (rows int, after time.Duration) {
	if state != migrate.StateCopy {
		return 0, time.Duration(k.random.Int64N(int64(k.reach[state]) + 1))
	}
	at, total := copiedRows(p), 0
	for _, t := range p {
		total += t.Total
	}
	return at + k.random.IntN(max(1, (total-at)/max(1, killCount-k.seen[state]))), 0
}

func copiedRows(p []migrate.Progress) int {
	n := 0
	for _, t := range p {
		n += t.Done
	}
	return n
}

func outcome(st migrate.Status) string {
	out := string(st.State)
	if st.Verified && st.State == migrate.StateVerify {
		out += ", verified"
	}
	if st.Error != nil {
		out += ": " + st.Error.Text + " → " + st.Error.Next
	}
	return out
}

// report prints every kill.
func (k *killer) report() {
	k.t.Helper()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "state\tkilled at\tcame back in")
	for _, b := range k.table {
		fmt.Fprintf(w, "%s\t%s\t%s\n", b.state, b.point, b.outcome)
	}
	_ = w.Flush() // into memory
	k.t.Logf("%d kills of the source node:\n%s", len(k.table), text.String())
}
