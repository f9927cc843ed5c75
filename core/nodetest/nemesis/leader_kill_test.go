//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"testing"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestLeaderKilledInCopy kills leaders while 200,000 rows are copied: that of the
// bucket being written, and that of the meta group; once on another node than the
// source and once on the source.
func TestLeaderKilledInCopy(t *testing.T) {
	m := newMigration(t, manyRows)
	for _, c := range []struct {
		name, group string
		node        int
	}{
		{"the bucket's, another node", core.TableMembers.Bucket(), 1},
		{"meta, another node", "meta", 2},
		{"the bucket's, the source", core.TableMembers.Bucket(), 0},
		{"meta, the source", "meta", 0},
	} {
		t.Logf("the leader killed: %s", c.name)
		m.killLeader(c.group, c.node)
		m.requireEqualEverywhere(m.seed.digests)
		m.requireAborted(m.seed.digests)
	}
	m.requireEmptyKV()
}

// killLeader kills node as the leader of group in the middle of the copy of members.
func (m *runningMigration) killLeader(group string, node int) {
	m.t.Helper()
	rows := m.seed.digests[core.TableMembers].Count
	m.rate = rows // a second for members at least, and from their first on slow enough to be hit
	m.awaitState(migrate.StateCopy, func(e migrate.Entry) bool { return halfCopied(e.Migration.Progress, core.TableMembers) > 0 })
	m.limit(max(200, rows/20))
	m.awaitLeader(group, node)
	e := m.journalEntry()
	at, before := halfCopied(e.Migration.Progress, core.TableMembers), copiedRows(e.Migration.Progress)
	if e.Migration.State != migrate.StateCopy || at == 0 {
		m.t.Fatalf("members were copied before they were led by %s; it is at %s", m.Configs[node].Name, e.Migration.State)
	}
	m.Kill(node)
	m.t.Logf("%s, leader of %s, was killed after %d members", m.Configs[node].Name, group, at)
	if node == 0 {
		st := m.rollBackAndWait()
		m.requireConsistent(st)
		if st.State != migrate.StateCopy {
			m.t.Fatalf("killed in the copy, it came back in %s", st.State)
		}
	} else {
		m.requireProgress(before + rows/20)
		m.Start(node) // it is needed for the comparison
	}
	m.limit(0)
}

// limit sets the rate of a running copy, in rows a second.
func (m *runningMigration) limit(rate int) {
	m.t.Helper()
	nodetest.Wait(m.t, eventTimeout, func() error { // the audit's leader may just have been killed
		_, err := m.cl.MigrateLimit(m.t.Context(), m.source(), rate)
		if core.KindOf(err) == core.KindRefused {
			return nil // it is past the copy
		}
		return err
	})
}

// requireProgress waits until so many rows are copied: the others elect a leader,
// and the copy continues by itself.
func (m *runningMigration) requireProgress(rows int) {
	m.t.Helper()
	nodetest.Wait(m.t, eventTimeout, func() error {
		e := m.journalEntry()
		if e.Migration.Error != nil {
			m.t.Fatalf("the move stopped: %v", e.Migration.Error)
		}
		if e.Migration.State == migrate.StateCopy && copiedRows(e.Migration.Progress) < rows {
			return fmt.Errorf("at %d rows", copiedRows(e.Migration.Progress))
		}
		return nil
	})
}

// halfCopied is how many rows of a table were copied, 0 if none or all were.
func halfCopied(ps []migrate.Progress, t core.Table) int {
	for _, p := range ps {
		if p.Table == t && p.Done < p.Total {
			return p.Done
		}
	}
	return 0
}

// awaitLeader makes a node the leader of a group, and waits until it is.
func (m *runningMigration) awaitLeader(group string, node int) {
	m.t.Helper()
	want := m.Configs[node].Name
	nodetest.Wait(m.t, eventTimeout, func() error {
		st, err := nodetest.Status(m.t.Context(), m.cl)
		if err != nil {
			return err
		}
		leader := st.Meta.Leader
		for _, b := range st.Buckets {
			if b.Name == group {
				leader = b.Leader
			}
		}
		if leader == want {
			return nil
		}
		_, err = m.cl.StepDown(m.t.Context(), group, want)
		return fmt.Errorf("%s is led by %q, %v", group, leader, err)
	})
}
