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

// cut is a way for the network of three to fall apart.
type cut struct {
	name   string
	groups [][]int
}

var cuts = []cut{
	{"the source alone, the others together", [][]int{{0}, {1, 2}}},
	{"the source with one, the other alone", [][]int{{0, 1}, {2}}},
}

// felt waits until every node sees only those of its own side, and what it
// proved before the cut has lost its worth.
func (m *moving) felt(c cut, since time.Time) {
	m.t.Helper()
	for _, side := range c.groups {
		for _, i := range side {
			nodetest.Wait(m.t, patience, func() error { return heard(m.t, m.Net, i, len(side)) })
		}
	}
	nodetest.Wait(m.t, patience, func() error {
		if left := promise + time.Second - time.Since(since); left > 0 {
			return fmt.Errorf("a lease may hold for another %s", left)
		}
		return nil
	})
}

// fall cuts the network as the move is in a state, or as soon as may be after it.
func (m *moving) fall(c cut, state migrate.State, at func(migrate.Entry) bool) time.Time {
	m.t.Helper()
	m.reach(state, at)
	m.Partition(c.groups...)
	began := time.Now()
	e := m.entry()
	m.t.Logf("%s: cut in %s after %d rows, intent %v", c.name, met(e), done(e.Migration.Progress), e.Intent != nil)
	return began
}

// TestPartitionBeforeCutover cuts the network in copy, verify and fence. SQLite
// serves on, on whichever side the source is; after the cut the move comes to
// its end, with the same rows everywhere; at last it is aborted without a trace.
func TestPartitionBeforeCutover(t *testing.T) {
	m := newMoving(t, manyRows)
	for _, c := range cuts {
		for _, state := range []migrate.State{migrate.StateCopy, migrate.StateVerify, migrate.StateFence} {
			m.cutIn(c, state)
		}
	}
	m.emptied()
}

func (m *moving) cutIn(c cut, state migrate.State) {
	m.t.Helper()
	m.rate = 0
	if state == migrate.StateCopy {
		m.rate = max(500, m.seed.digests[core.TableMembers].Count/4)
	}
	var entered time.Time
	after := time.Duration(rand.Int64N(int64(150 * time.Millisecond)))
	began := m.fall(c, state, func(e migrate.Entry) bool {
		switch {
		case met(e) != state || !e.Migration.Running:
			return !entered.IsZero()
		case state == migrate.StateCopy:
			return halfway(e.Migration.Progress, core.TableMembers) > 0
		case entered.IsZero():
			entered = time.Now()
		}
		return time.Since(entered) >= after
	})
	m.felt(c, began)
	if e := m.entry(); e.Intent == nil && e.Authority.Backend == core.BackendSQLite {
		if err := mustConnect(m.Net, 0, m.seed.ids[0]); err != nil {
			m.t.Errorf("%s, in %s: SQLite does not serve: %v", c.name, e.Migration.State, err)
		}
	}
	m.Heal()
	for _, i := range []int{0, 1, 2} {
		nodetest.Wait(m.t, patience, func() error { return heard(m.t, m.Net, i, 3) })
	}
	if met(m.entry()) == migrate.StateCutover || m.entry().Migration.State == migrate.StateSoak { // it was past the fence
		m.t.Logf("the fence was over before the cut")
		m.sound(m.rests())
		m.reach(migrate.StatePreflight, func(e migrate.Entry) bool {
			return e.Migration.State == migrate.StateVerify && e.Migration.Verified && !e.Migration.Running
		})
	}
	m.everywhere(m.seed.digests)
	m.asItWas(m.seed.digests)
}

// TestNoTwoAuthorities cuts the network in cutover and in rollback, while users
// knock at every node: at no moment do two nodes let them in by two truths, a
// node that was cut off serves neither and swaps when it is back, and who was
// revoked after the move is let in by nobody.
func TestNoTwoAuthorities(t *testing.T) {
	m := newMoving(t, manyRows)
	w, stop := watchTruths(t, m.Net, m.seed.ids[0])
	for i, c := range cuts {
		m.verified()
		m.cutOver(c, w, m.seed.ids[1+i])
		m.rollBack(c, w, m.seed.ids[1+i])
	}
	stop()
}

// cutOver cuts over with the network cut as soon as the intent is on disk.
func (m *moving) cutOver(c cut, w *truths, leaves keys.Identity) {
	m.t.Helper()
	began := m.fall(c, migrate.StateCutover, func(e migrate.Entry) bool { return e.Intent != nil })
	m.felt(c, began)
	alone := len(c.groups[0]) == 1
	if !alone { // the source has a majority: it brings the cutover to its end
		m.serves(core.BackendKV, 0, 1)
		g := m.revoke(w, leaves, 0, 1)
		nodetest.Wait(m.t, patience, func() error { return w.deniedBy(g, 0, 1) })
	}
	for _, i := range c.minority() {
		m.servesNobody(i)
	}
	m.Heal()
	st := m.rests()
	m.t.Logf("after the cut: %s", outcome(st))
	m.sound(st)
	m.reach(migrate.StateSoak, func(e migrate.Entry) bool { return e.Migration.State == migrate.StateSoak && !e.Migration.Running })
	m.sound(m.rests())
	if alone {
		m.revoke(w, leaves, 1, 2)
	}
	nodetest.Wait(m.t, patience, func() error { return w.deniedBy(w.gone[len(w.gone)-1], 0, 1, 2) })
}

// rollBack rolls back with the network cut as soon as the intent is on disk.
func (m *moving) rollBack(c cut, _ *truths, left keys.Identity) {
	m.t.Helper()
	began := m.fall(c, migrate.StateRollback, func(e migrate.Entry) bool { return e.Intent != nil })
	m.felt(c, began)
	for _, i := range c.minority() {
		m.servesNobody(i)
	}
	m.Heal()
	st := m.rests()
	m.t.Logf("after the cut: %s", outcome(st))
	m.sound(st)
	m.reach(migrate.StateRollback, func(e migrate.Entry) bool {
		return e.Migration.State == migrate.StateRolledBack && !e.Migration.Running
	})
	st = m.rests()
	m.sound(st)
	if u, err := m.cl.UserGet(m.t.Context(), left.Public()); err != nil || u.Status != core.UserRevoked {
		m.t.Errorf("who was revoked after the cutover is %s after the rollback, %v", u.Status, err)
	}
}

// minority is the side that has one node.
func (c cut) minority() []int {
	for _, side := range c.groups {
		if len(side) == 1 {
			return side
		}
	}
	return nil
}

// servesNobody fails the test where a node that is cut off serves a store or lets somebody in.
func (m *moving) servesNobody(i int) {
	m.t.Helper()
	for range 20 {
		if err := mustConnect(m.Net, i, m.seed.ids[0]); err == nil {
			m.t.Errorf("%s is cut off in the middle of it and lets users in", m.Configs[i].Name)
			return
		}
	}
}

// revoke revokes a user at one of these nodes and has it knock from then on.
func (m *moving) revoke(w *truths, id keys.Identity, nodes ...int) *revocation {
	m.t.Helper()
	cl := m.Client(nodes...)
	defer cl.Close()
	if err := revoke(m.t.Context(), cl, id.Public()); err != nil {
		m.t.Fatal(err)
	}
	return w.revoked(id)
}
