package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"unibus/core"
)

// newSoaking is a cluster whose control plane is in KV, with rows written since
// the cutover.
func newSoaking(t *testing.T) (*fakeCluster, *Job, *fakeGuards) {
	t.Helper()
	w := newFakeCluster(t, 20)
	j := w.job(t, nil)
	o := w.options()
	o.Cutover = true
	wantState(t, startAndWait(t, j, o), StateSoak)
	w.locked(func() {
		w.target[core.TableUsers]["since"] = []byte(`{"v":1,"n":-1}`)
		w.target[core.TableRooms]["k0001"] = []byte(`{"v":1,"n":-2}`)
	})
	return w, j, &w.guards
}

func rollBackAndWait(t *testing.T, j *Job) Status {
	t.Helper()
	if _, err := j.Rollback(t.Context(), "ana"); err != nil {
		t.Fatalf("rollback: %v", err)
	}
	return awaitStopped(t, j)
}

func TestRollbackBringsBackWhatWasWrittenSince(t *testing.T) {
	t.Parallel()
	w, j, g := newSoaking(t)
	s := rollBackAndWait(t, j)
	wantState(t, s, StateRolledBack)
	if want := (core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 3}); w.authority != want || w.serving != core.BackendSQLite {
		t.Errorf("authority %+v, serving %s", w.authority, w.serving)
	}
	if !w.target.equal(w.source) || w.fenced || g.open {
		t.Errorf("equal %v, fenced %v, KV open %v", w.target.equal(w.source), w.fenced, g.open)
	}
	e, err := j.cfg.Journal.Load()
	if err != nil || e.File != s.Export.Path || e.Intent != nil || len(s.Export.SHA256) != 64 {
		t.Errorf("journal %+v, %v; export %+v", e, err, s.Export)
	}
	if !strings.Contains(s.Result, s.Export.Path) {
		t.Errorf("the result does not name the file: %s", s.Result)
	}

	// The new file is moved like the old one, and there is nothing to write.
	o := Options{DB: s.Export.Path, Replicas: 3, Cutover: true}
	if s = startAndWait(t, j, o); s.State != StateSoak || s.Written != 0 {
		t.Errorf("the second move: %s, %d written, %v", s.State, s.Written, s.Error)
	}
}

// TestRollbackGivesUpWithoutLoss: a failure before the CAS leaves KV serving, open, one generation later.
func TestRollbackGivesUpWithoutLoss(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"shut", "export", "file create", "file put", "file finish", "leak"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w, j, g := newSoaking(t)
			w.exportLoses = op == "leak"
			failed := false
			w.locked(func() {
				w.before = func(o string) error {
					if o == op && !failed {
						failed = true
						return core.Errorf(core.KindFailed, "the disk is full")
					}
					return nil
				}
			})
			s := rollBackAndWait(t, j)
			if s.State != StateSoak || s.Error == nil || w.serving != core.BackendKV || !g.open {
				t.Errorf("%s, %v, serving %s, open %v", s.State, s.Error, w.serving, g.open)
			}
			if want := (core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 3}); w.authority != want {
				t.Errorf("authority %+v", w.authority)
			}
			left, err := filepath.Glob(filepath.Join(w.dir, "unibus-rollback-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			w.exportLoses = false
			wantState(t, rollBackAndWait(t, j), StateRolledBack) // and again
		})
	}
}

// TestRollbackIsRefused where there is nothing to roll back.
func TestRollbackIsRefused(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 3)
	j := w.job(t, nil)
	refuse := func(why string) {
		t.Helper()
		if _, err := j.Rollback(t.Context(), "ana"); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, not %q", err, why)
		}
	}
	refuse("no migration is in progress")
	o := w.options()
	wantState(t, startAndWait(t, j, o), StateVerify)
	refuse("it has not cut over")
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	wantState(t, awaitStopped(t, j), StateSoak)
	if _, err := j.Finish(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	refuse("unibusd backup")
}

// TestRollbackCrashAnywhere kills the daemon at some operation of a rollback, with that
// operation done or not. When it is opened again, KV counts and is open, or the file
// counts and KV is shut. Nothing is lost, and the rollback can be run again.
func TestRollbackCrashAnywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		crashInRollback(t, rapid.IntRange(1, 60).Draw(rt, "at"), rapid.Bool().Draw(rt, "done"))
	})
}

func crashInRollback(t *testing.T, at int, done bool) {
	t.Helper()
	w, j, g := newSoaking(t)
	n := 0
	die := func(op string) error {
		if op == "put migration" || op == "migration" {
			return nil
		}
		if n++; n >= at {
			return errCrashed
		}
		return nil
	}
	w.locked(func() {
		if !done {
			w.before = die
			return
		}
		w.after = func(op string) error {
			err := die(op)
			if err != nil {
				w.before = func(string) error { return errCrashed }
			}
			return err
		}
	})
	if _, err := j.Rollback(t.Context(), "ana"); err == nil {
		awaitStatus(t, j, "the crash", func(s Status) (over bool) {
			w.locked(func() { over = n >= at })
			return over || !s.Running
		})
	}
	_ = j.Close()
	w.locked(func() { w.before, w.after, w.serving = nil, nil, core.BackendNone })
	if e, err := j.cfg.Journal.Load(); err == nil && e.File != "" && e.File != w.path() { // a node opens the file that its journal names
		if _, err := w.Adopt(t.Context(), e.File); err != nil {
			t.Fatal(err)
		}
	}

	j = w.job(t, nil)
	s := awaitStopped(t, j)
	w.locked(func() { w.openGuards() }) // the node follows the record
	kv := w.authority.Backend == core.BackendKV
	if kv != g.open || kv != w.fenced || s.State == StateRollback {
		t.Fatalf("crash at %d (done %v): authority %+v, KV open %v, file fenced %v, %s, %v", at, done, w.authority, g.open, w.fenced, s.State, s.Error)
	}
	if s.State == StateSoak {
		s = rollBackAndWait(t, j)
	}
	wantState(t, s, StateRolledBack)
	if !w.target.equal(w.source) {
		t.Fatalf("crash at %d (done %v): the rows differ", at, done)
	}
}

// TestAbortOfARollback opens KV again.
func TestAbortOfARollback(t *testing.T) {
	t.Parallel()
	w, j, g := newSoaking(t)
	j.cfg.Limits.AdmissionLease = time.Hour // it waits there
	if _, err := j.Rollback(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the file", func(s Status) bool { return s.Export.Path != "" })
	if _, err := j.Abort(t.Context(), "ben"); err != nil {
		t.Fatal(err)
	}
	s := awaitStopped(t, j)
	if s.State != StateSoak || w.authority.Backend != core.BackendKV || !g.open || s.Export.Path != "" {
		t.Errorf("%s, %+v, open %v, export %+v", s.State, w.authority, g.open, s.Export)
	}
}

// TestRollbackKeepsAnExistingFile: a file that took the name of the new one meanwhile is not
// removed.
func TestRollbackKeepsAnExistingFile(t *testing.T) {
	t.Parallel()
	w, j, g := newSoaking(t)
	file := ""
	w.locked(func() {
		w.before = func(op string) error {
			if op != "file create" || file != "" {
				return nil
			}
			e, err := w.journal.Load()
			if err != nil {
				return err
			}
			file = e.Intent.File
			return os.WriteFile(file, []byte("somebody else's"), 0o600)
		}
	})
	s := rollBackAndWait(t, j)
	if got, err := os.ReadFile(file); err != nil || string(got) != "somebody else's" {
		t.Errorf("%q, %v", got, err)
	}
	if s.State != StateSoak || !g.open || s.Error == nil || !strings.Contains(s.Error.Error(), file) {
		t.Errorf("%s, open %v, %v", s.State, g.open, s.Error)
	}
	wantState(t, rollBackAndWait(t, j), StateRolledBack) // under another name
}

// Another node changes the authority while KV is exported.
func TestRollbackOvertakenByAnotherNode(t *testing.T) {
	t.Parallel()
	for a, want := range map[core.Authority]State{
		{Backend: core.BackendKV, Node: "n2", Generation: 9}:     StateSoak,
		{Backend: core.BackendSQLite, Node: "n2", Generation: 9}: StateAborted,
	} {
		w, j, _ := newSoaking(t)
		w.locked(func() {
			w.before = func(op string) error {
				if op == "file finish" {
					w.authority, w.authorityRevision = a, w.authorityRevision+1
				}
				return nil
			}
		})
		s := rollBackAndWait(t, j)
		if s.State != want || core.KindOf(errOf(s)) != core.KindConflict || w.authority != a || w.serving != a.Backend {
			t.Fatalf("%s, %v, authority %+v, serving %s", s.State, s.Error, w.authority, w.serving)
		}
		left := glob(w.dir, "unibus-rollback-*")
		if len(left) != 1 || !strings.Contains(s.Error.Text, left[0]) {
			t.Errorf("the file is not kept and named: %v, %v", left, s.Error)
		}
		if e, err := j.cfg.Journal.Load(); err != nil || e.Intent != nil || *e.Authority != a {
			t.Errorf("journal %+v, %v", e, err)
		}
		if strings.Contains(s.Sentence(), "SQLite on n1 serves") {
			t.Error(s.Sentence())
		}
	}
}

// TestRollbackChecksFreeSpace before anything is closed.
func TestRollbackChecksFreeSpace(t *testing.T) {
	t.Parallel()
	w, j, g := newSoaking(t)
	free := int64(1<<20 - 1)
	j.cfg.FreeSpace = func(dir string) (int64, error) {
		if dir != w.dir {
			t.Errorf("asked for %s", dir)
		}
		return free, nil
	}
	ops := w.countOps()
	s := rollBackAndWait(t, j)
	if s.State != StateSoak || core.KindOf(errOf(s)) != core.KindRefused || !strings.Contains(s.Error.Text, "1 MB") || ops.of("shut") != 0 || w.serving != core.BackendKV || !g.open {
		t.Errorf("%s, %v, serving %s, open %v, %v", s.State, s.Error, w.serving, g.open, ops)
	}
	free++
	w.bucketBytes = 3 << 20 // the buckets have grown since
	if s = rollBackAndWait(t, j); s.State != StateSoak || !strings.Contains(s.Error.Text, "3 MB") {
		t.Errorf("%s, %v", s.State, s.Error)
	}
	free = 3 << 20
	wantState(t, rollBackAndWait(t, j), StateRolledBack)
}
