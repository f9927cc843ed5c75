//go:build nemesis && linux

package nemesis

import (
	"os"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestDiskFull fills the source node's disk, once during the backup and once
// during the copy. The migration stops and says why, and users are admitted as
// before. With free space it completes.
func TestDiskFull(t *testing.T) {
	for _, state := range []migrate.State{migrate.StateBackup, migrate.StateCopy} {
		t.Run(string(state), func(t *testing.T) {
			s := seed.file(t, manyRows)
			n := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), nodetest.Config{SeedDB: s.path})
			d := n.Disk(0, 16*fileSize(t, s.path)+(256<<20))
			m := newMigrationOn(t, n, s)
			if state == migrate.StateCopy {
				m.rate = max(500, s.digests[core.TableMembers].Count/5)
			}
			m.awaitState(state, func(e migrate.Entry) bool {
				return e.Migration.State == state && (state == migrate.StateBackup || halfCopied(e.Migration.Progress, core.TableMembers) > 0)
			})
			const left = 64 << 10
			d.Fill(left)
			st := m.awaitFullDiskStop()
			t.Logf("full: %s", outcome(st))
			// Where JetStream went off before the journal was full, the other two take the rest of the copy.
			if st.State != state && (state != migrate.StateCopy || st.State != migrate.StateVerify || !strings.Contains(outcome(st), "JetStream has turned itself off on n1")) {
				t.Errorf("it was filled in %s and stopped in %s", state, st.State)
			}
			m.requireConsistent(st)
			d.Restore()
			m.resumeAfterFullDisk()
			m.requireComplete(s.digests)
			m.requireAborted(s.digests)
		})
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// awaitFullDiskStop waits until the migration has stopped for lack of space, and
// says so. A full disk may prevent its journal from saying the same.
func (m *runningMigration) awaitFullDiskStop() (st migrate.Status) {
	m.t.Helper()
	nodetest.Wait(m.t, eventTimeout, func() (err error) {
		if st, err = m.cl.Migration(m.t.Context()); err == nil && st.Running {
			err = asError(core.Errorf(core.KindUnavailable, "it works at %s", st.State))
		}
		return err
	})
	said := outcome(st)
	for _, word := range []string{"full", "no space", "room", "free"} {
		if strings.Contains(strings.ToLower(said), word) {
			return st
		}
	}
	m.t.Errorf("a full disk is not what it says: %s", said)
	return st
}

// resumeAfterFullDisk resumes with free space. JetStream turns itself off on a
// full disk, so the node is restarted if that happened.
func (m *runningMigration) resumeAfterFullDisk() {
	m.t.Helper()
	if strings.Contains(m.Log(0), "DISABLED") {
		m.t.Log("JetStream was turned off on the full disk: the node is started again")
		m.Stop(0)
		m.rollBackAndWait()
	}
}
