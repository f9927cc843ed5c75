//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// partition is a way to divide the network of three nodes.
type partition struct {
	name   string
	groups [][]int
}

var partitions = []partition{
	{"the source alone, the others together", [][]int{{0}, {1, 2}}},
	{"the source with one, the other alone", [][]int{{0, 1}, {2}}},
}

// awaitCutFelt waits until every node sees only its own side, and its proofs from
// before the cut have expired.
func (m *runningMigration) awaitCutFelt(c partition, since time.Time) {
	m.t.Helper()
	for _, side := range c.groups {
		for _, i := range side {
			nodetest.Wait(m.t, eventTimeout, func() error { return checkReachable(m.t, m.Net, i, len(side)) })
		}
	}
	nodetest.Wait(m.t, eventTimeout, func() error {
		if left := leasePromise + time.Second - time.Since(since); left > 0 {
			return fmt.Errorf("a lease may hold for another %s", left)
		}
		return nil
	})
}

// cutNetworkIn cuts the network when the migration is in a state, or as soon as
// possible after that.
func (m *runningMigration) cutNetworkIn(c partition, state migrate.State, at func(migrate.Entry) bool) time.Time {
	m.t.Helper()
	m.awaitState(state, at)
	m.Partition(c.groups...)
	began := time.Now()
	e := m.journalEntry()
	m.t.Logf("%s: cut in %s after %d rows, intent %v", c.name, stateOf(e), copiedRows(e.Migration.Progress), e.Intent != nil)
	return began
}

// TestPartitionBeforeCutover cuts the network in copy, verify and fence. SQLite
// continues to serve on either side. After the cut the migration completes, with
// the same rows on every node; then it is aborted without a trace.
func TestPartitionBeforeCutover(t *testing.T) {
	m := newMigration(t, manyRows)
	for _, c := range partitions {
		for _, state := range []migrate.State{migrate.StateCopy, migrate.StateVerify, migrate.StateFence} {
			m.testCutIn(c, state)
		}
	}
	m.requireEmptyKV()
}

func (m *runningMigration) testCutIn(c partition, state migrate.State) {
	m.t.Helper()
	m.rate = 0
	if state == migrate.StateCopy {
		m.rate = max(500, m.seed.digests[core.TableMembers].Count/4)
	}
	var entered time.Time
	after := time.Duration(rand.Int64N(int64(150 * time.Millisecond)))
	began := m.cutNetworkIn(c, state, func(e migrate.Entry) bool {
		switch {
		case stateOf(e) != state || !e.Migration.Running:
			return !entered.IsZero()
		case state == migrate.StateCopy:
			return halfCopied(e.Migration.Progress, core.TableMembers) > 0
		case entered.IsZero():
			entered = time.Now()
		}
		return time.Since(entered) >= after
	})
	m.awaitCutFelt(c, began)
	if e := m.journalEntry(); e.Intent == nil && e.Authority.Backend == core.BackendSQLite {
		if err := mustConnect(m.Net, 0, m.seed.ids[0]); err != nil {
			m.t.Errorf("%s, in %s: SQLite does not serve: %v", c.name, e.Migration.State, err)
		}
	}
	m.Heal()
	for _, i := range []int{0, 1, 2} {
		nodetest.Wait(m.t, eventTimeout, func() error { return checkReachable(m.t, m.Net, i, 3) })
	}
	if stateOf(m.journalEntry()) == migrate.StateCutover || m.journalEntry().Migration.State == migrate.StateSoak { // it was past the fence
		m.t.Logf("the fence was over before the cut")
		m.requireConsistent(m.awaitStopped())
		m.awaitState(migrate.StatePreflight, func(e migrate.Entry) bool {
			return e.Migration.State == migrate.StateVerify && e.Migration.Verified && !e.Migration.Running
		})
	}
	m.requireEqualEverywhere(m.seed.digests)
	m.requireAborted(m.seed.digests)
}

// TestNoTwoAuthorities cuts the network in cutover and in rollback, while users
// try to connect to every node. Two nodes never admit them by two stores. A node
// that was cut off serves neither, and changes over when it is back. A user who
// was revoked after the migration is never admitted.
func TestNoTwoAuthorities(t *testing.T) {
	m := newMigration(t, manyRows)
	w, stop := watchAdmission(t, m.Net, m.seed.ids[0])
	for i, c := range partitions {
		m.awaitVerified()
		m.testCutInCutover(c, w, m.seed.ids[1+i])
		m.testCutInRollback(c, w, m.seed.ids[1+i])
	}
	stop()
}

// testCutInCutover cuts over with the network cut as soon as the intent is on disk.
func (m *runningMigration) testCutInCutover(c partition, w *admissionWatcher, leaves keys.Identity) {
	m.t.Helper()
	began := m.cutNetworkIn(c, migrate.StateCutover, func(e migrate.Entry) bool { return e.Intent != nil })
	m.awaitCutFelt(c, began)
	alone := len(c.groups[0]) == 1
	if !alone { // the source has a majority: it brings the cutover to its end
		m.requireServing(core.BackendKV, 0, 1)
		g := m.revoke(w, leaves, 0, 1)
		nodetest.Wait(m.t, eventTimeout, func() error { return w.checkDenied(g, 0, 1) })
	}
	for _, i := range c.minority() {
		m.requireServingNothing(i)
	}
	m.Heal()
	st := m.awaitStopped()
	m.t.Logf("after the cut: %s", outcome(st))
	m.requireConsistent(st)
	m.awaitState(migrate.StateSoak, func(e migrate.Entry) bool { return e.Migration.State == migrate.StateSoak && !e.Migration.Running })
	m.requireConsistent(m.awaitStopped())
	if alone {
		m.revoke(w, leaves, 1, 2)
	}
	nodetest.Wait(m.t, eventTimeout, func() error { return w.checkDenied(w.revocations[len(w.revocations)-1], 0, 1, 2) })
}

// testCutInRollback rolls back with the network cut as soon as the intent is on disk.
func (m *runningMigration) testCutInRollback(c partition, _ *admissionWatcher, left keys.Identity) {
	m.t.Helper()
	began := m.cutNetworkIn(c, migrate.StateRollback, func(e migrate.Entry) bool { return e.Intent != nil })
	m.awaitCutFelt(c, began)
	for _, i := range c.minority() {
		m.requireServingNothing(i)
	}
	m.Heal()
	st := m.awaitStopped()
	m.t.Logf("after the cut: %s", outcome(st))
	m.requireConsistent(st)
	m.awaitState(migrate.StateRollback, func(e migrate.Entry) bool {
		return e.Migration.State == migrate.StateRolledBack && !e.Migration.Running
	})
	st = m.awaitStopped()
	m.requireConsistent(st)
	if u, err := m.cl.UserGet(m.t.Context(), left.Public()); err != nil || u.Status != core.UserRevoked {
		m.t.Errorf("who was revoked after the cutover is %s after the rollback, %v", u.Status, err)
	}
}

// minority is the side that has one node.
func (c partition) minority() []int {
	for _, side := range c.groups {
		if len(side) == 1 {
			return side
		}
	}
	return nil
}

// requireServingNothing fails the test if a node that is cut off serves a store or
// admits a user.
func (m *runningMigration) requireServingNothing(i int) {
	m.t.Helper()
	for range 20 {
		if err := mustConnect(m.Net, i, m.seed.ids[0]); err == nil {
			m.t.Errorf("%s is cut off in the middle of it and lets users in", m.Configs[i].Name)
			return
		}
	}
}

// revoke revokes a user at one of these nodes and lets the user try to connect
// from then on.
func (m *runningMigration) revoke(w *admissionWatcher, id keys.Identity, nodes ...int) *revocation {
	m.t.Helper()
	cl := m.Client(nodes...)
	defer cl.Close()
	if err := revoke(m.t.Context(), cl, id.Public()); err != nil {
		m.t.Fatal(err)
	}
	return w.addRevocation(id)
}
