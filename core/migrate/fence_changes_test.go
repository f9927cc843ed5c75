package migrate

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// newVerified is a cluster with a migration that waits for its cutover.
func newVerified(t *testing.T, change func(*Config), noBackup bool) (*fakeCluster, *Job) {
	t.Helper()
	w := newFakeCluster(t, 40)
	w.internalKeys = 2 // a guard and a barrier
	j := w.job(t, change)
	o := w.options()
	o.NoBackup = noBackup
	wantState(t, startAndWait(t, j, o), StateVerify)
	return w, j
}

func cutOverAndWait(t *testing.T, j *Job) Status {
	t.Helper()
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	return awaitStopped(t, j)
}

// opCounter counts operations of a fakeCluster, also while they go on.
type opCounter struct {
	w      *fakeCluster
	counts map[string]int
}

// countOps counts the operations that follow.
func (w *fakeCluster) countOps() opCounter {
	c := opCounter{w, map[string]int{}}
	w.locked(func() {
		w.before = func(op string) error { c.counts[op]++; return nil }
	})
	return c
}

func (c opCounter) of(op string) (n int) {
	c.w.locked(func() { n = c.counts[op] })
	return n
}

func (c opCounter) String() (text string) {
	c.w.locked(func() { text = fmt.Sprint(c.counts) })
	return text
}

func (w *fakeCluster) change() {
	w.write(core.TableUsers, "k0003", "changed")
	w.write(core.TableUsers, "new", "1")
	w.locked(func() { delete(w.source[core.TableMembers], "k0004") })
}

// With an incomplete record of changes the backup is read. No table of the target
// is read, and three keys are written.
func TestFenceReadsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.change()
	w.locked(func() { w.tracking.enabled = false })
	puts, n := w.puts, w.countOps()
	s := cutOverAndWait(t, j)
	wantState(t, s, StateSoak)
	if !w.target.equal(w.source) || w.puts-puts != 2 || s.Written != 203 {
		t.Errorf("equal %v, put %d, written %d", w.target.equal(w.source), w.puts-puts, s.Written)
	}
	if n.of("target.rows")+n.of("replica.rows") != 0 || n.of("copy.rows") != 5 {
		t.Errorf("the fence read %v", n)
	}
	for i, p := range s.Buckets {
		want, _ := storetest.DigestRows(w.source.rows(core.Tables()[i]))
		if !p.Equal() || p.Source != want || len(p.Nodes) != 3 {
			t.Errorf("%+v", p)
		}
	}
}

// Without a backup, or with one that is not what was verified, the target is read once; the replicas are not.
func TestFenceWithoutTheBackupReadsTheTargetOnce(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"temporary", "removed", "altered"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w, j := newVerified(t, nil, how == "temporary")
			path := j.Status().Backup.Path
			w.change()
			switch how {
			case "removed":
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			case "altered": // somebody made it what the source is now: a comparison with it finds nothing
				if _, err := w.backup(t.Context(), path); err != nil {
					t.Fatal(err)
				}
			}
			n := w.countOps()
			wantState(t, cutOverAndWait(t, j), StateSoak)
			if !w.target.equal(w.source) || n.of("replica.rows") != 0 || n.of("target.rows") == 0 {
				t.Errorf("equal %v, read %v", w.target.equal(w.source), n)
			}
		})
	}
}

// TestFenceWithoutMarksIsRefused: a journal of an older version lacks them.
func TestFenceWithoutMarksIsRefused(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	_ = j.Close()
	if err := w.journal.Update(func(e *Entry) { e.Marks = nil }); err != nil {
		t.Fatal(err)
	}
	j = w.job(t, nil)
	ops := w.countOps()
	s := cutOverAndWait(t, j)
	if s.State != StateVerify || s.Verified || core.KindOf(errOf(s)) != core.KindRefused || ops.of("fence") != 0 {
		t.Fatalf("%s, verified %v, %v, did %v", s.State, s.Verified, s.Error, ops)
	}
	if _, err := j.Cutover(t.Context(), "ana"); core.KindOf(err) != core.KindRefused {
		t.Errorf("a cutover without a verification: %v", err)
	}
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	wantState(t, cutOverAndWait(t, j), StateSoak)
}

// A first cutover brings a change and fails; then the change is taken back in
// the source, which equals the backup again: the target must not keep it.
func TestFenceTakesBackWhatAnEarlierOneBrought(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	was := string(w.source[core.TableUsers]["k0003"])
	w.change()
	w.locked(func() {
		w.before = func(op string) error {
			if op == "put authority" && w.fenced {
				return core.Errorf(core.KindUnavailable, "no answer")
			}
			return nil
		}
	})
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the first cutover to bring the change", func(Status) (ok bool) {
		w.locked(func() { ok = string(w.target[core.TableUsers]["k0003"]) == "changed" })
		return ok
	})
	_ = j.Close()
	w.locked(func() { w.before = nil })
	j = w.job(t, nil) // and the marks are in the journal
	if s := awaitStopped(t, j); s.State != StateVerify || w.fenced {
		t.Fatalf("%s, %v", s.State, s.Error)
	}
	w.write(core.TableUsers, "k0003", was)
	w.locked(func() { delete(w.source[core.TableUsers], "new") })
	n := w.countOps()
	wantState(t, cutOverAndWait(t, j), StateSoak)
	if !w.target.equal(w.source) || n.of("target.rows") != 0 {
		t.Errorf("equal %v, read %v", w.target.equal(w.source), n)
	}
}

func TestFenceFindsAReplicaThatIsNotAsVerified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(held tables)
		want  string
	}{
		"lost an old key":  {func(h tables) { delete(h[core.TableUsers], "k0009") }, "n2/(1 key, not changed since verify)"},
		"lacks the change": {func(h tables) { h[core.TableUsers]["k0003"] = []byte("old") }, "n2/k0003"},
		"lost a new key":   {func(h tables) { delete(h[core.TableUsers], "new") }, "n2/new"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, j := newVerified(t, nil, false)
			w.change()
			w.locked(func() {
				bad := w.source.clone()
				c.spoil(bad)
				w.replicaOverrides["n2"] = map[core.Table]tables{core.TableUsers: bad}
			})
			s := cutOverAndWait(t, j)
			p := s.Buckets[0]
			if s.State != StateVerify || s.Verified || s.Error == nil || w.fenced || w.serving != core.BackendSQLite {
				t.Fatalf("%s, verified %v, %v", s.State, s.Verified, s.Error)
			}
			if got := fmt.Sprint(p.Missing, p.Different, p.Extra); !strings.Contains(got, c.want) || p.Nodes["n1"] != p.Source || p.Nodes["n2"] == p.Source {
				t.Errorf("%s, %+v", got, p.Nodes)
			}
			w.locked(func() { clear(w.replicaOverrides) })
			wantState(t, startAndWait(t, j, w.options()), StateVerify)
			wantState(t, cutOverAndWait(t, j), StateSoak)
		})
	}
}

func TestFenceRefusesARecreatedTable(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.locked(func() { w.lastSequence = 1 })
	s := cutOverAndWait(t, j)
	if s.State != StateVerify || core.KindOf(errOf(s)) != core.KindConflict || w.fenced {
		t.Fatalf("%s, %v", s.State, s.Error)
	}
}

func TestFewerReplicasLeaveAVerifiedMigrationAlone(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	was := j.Status()
	o := w.options()
	o.Replicas = 2
	_, err := j.Start(t.Context(), "ana", o)
	wantRefused(t, err, "3 replicas", "nothing was changed")
	if s := j.Status(); s.ID != was.ID || !s.Verified || s.State != StateVerify {
		t.Errorf("%+v", s)
	}
	wantState(t, cutOverAndWait(t, j), StateSoak)
}

func TestDryRunBesideAVerifiedMove(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	o := w.options()
	o.DryRun = true
	if s := startAndWait(t, j, o); s.Written != 0 || !s.Verified || s.State != StateVerify {
		t.Errorf("written %d, verified %v in %s", s.Written, s.Verified, s.State)
	}
}

// A crash between the intent and its outcome is called one, not a lack of time.
func TestCrashInTheCutoverNamesTheNode(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.locked(func() {
		w.before = func(op string) error {
			if op == "put authority" {
				return core.Errorf(core.KindUnavailable, "no answer")
			}
			return nil
		}
	})
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the intent", func(Status) bool {
		e, err := j.cfg.Journal.Load()
		return err == nil && e.Intent != nil
	})
	_ = j.Close()
	w.locked(func() { w.before = nil })
	s := awaitStopped(t, w.job(t, nil))
	if s.State != StateVerify || s.Error == nil || !strings.Contains(s.Error.Text, "n1 was stopped during the cutover; nothing was migrated") ||
		!strings.Contains(s.Error.Next, "unibusd migration cutover") {
		t.Fatalf("%s: %v", s.State, s.Error)
	}
}

func TestInterruptedNamesTheCommands(t *testing.T) {
	t.Parallel()
	for state, word := range map[State]string{StateCopy: "migration resume", StateFence: "migration cutover"} {
		w := newFakeCluster(t, 1)
		s := Status{State: state, Verified: state == StateFence}
		w.job(t, nil).markInterrupted(&s)
		if s.Error == nil || !strings.Contains(s.Error.Next, "unibusd "+word) || !strings.Contains(s.Error.Next, "unibusd migration abort") {
			t.Errorf("%s: %v", state, s.Error)
		}
	}
}

// After a failed lift the migration stays in fence: a new start lifts it first, or
// is refused.
func TestStartBehindAFenceLiftsItFirst(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.locked(func() {
		w.before = func(op string) error {
			if op == "lift" || op == "since" {
				return core.Errorf(core.KindFailed, "the disk is broken")
			}
			return nil
		}
	})
	if s := cutOverAndWait(t, j); s.State != StateFence || !w.fenced {
		t.Fatalf("%s, fenced %v", s.State, w.fenced)
	}
	if s, err := j.Start(t.Context(), "ana", w.options()); err == nil || s.State != StateFence || !strings.Contains(err.Error(), "fence") {
		t.Errorf("%s, %v", s.State, err)
	}
	w.locked(func() {
		w.before = func(op string) error {
			if op == "backup" && w.fenced {
				t.Error("a new move began behind the fence")
			}
			return nil
		}
	})
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	if w.fenced {
		t.Error("the file is still fenced")
	}
}

// TestResumeAfterAFailedProof: the backup is older than what the fence brought, so
// that a comparison with it can only fail; a new start is the way, and is named.
func TestResumeAfterAFailedProof(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.change()
	w.locked(func() {
		bad := w.source.clone()
		bad[core.TableUsers]["k0003"] = []byte("otherwise")
		w.replicaOverrides["n2"] = map[core.Table]tables{core.TableUsers: bad}
	})
	if s := cutOverAndWait(t, j); s.State != StateVerify || s.Verified || s.Error == nil {
		t.Fatalf("%s, verified %v, %v", s.State, s.Verified, s.Error)
	}
	w.locked(func() { clear(w.replicaOverrides) })
	again := func() {
		t.Helper()
		_, err := j.Resume(t.Context(), "ana")
		wantRefused(t, err, "start again with `unibusd migrate-to-kv --node n1 --db ")
	}
	again()
	_ = j.Close()
	j = w.job(t, nil)
	again()
	wantState(t, startAndWait(t, j, w.options()), StateVerify)
	wantState(t, cutOverAndWait(t, j), StateSoak)
}
