package migrate

import (
	"strings"
	"testing"

	"unibus/core"
)

// newUnservedRollback is a cluster whose rollback moved the authority to a file
// that cannot be opened.
func newUnservedRollback(t *testing.T) (*fakeCluster, *Job, *fakeGuards) {
	t.Helper()
	w, j, g := newSoaking(t)
	w.locked(func() {
		w.before = func(op string) error {
			if op == "adopt" {
				return core.Errorf(core.KindNotFound, "the file does not exist")
			}
			return nil
		}
	})
	wantUnservedRollback(t, w, rollBackAndWait(t, j))
	return w, j, g
}

func wantUnservedRollback(t *testing.T, w *fakeCluster, s Status) {
	t.Helper()
	if s.State != StateRollback || s.Running || w.serving != core.BackendNone || w.authority.Backend != core.BackendSQLite {
		t.Fatalf("%s, running %v, serving %s, authority %+v", s.State, s.Running, w.serving, w.authority)
	}
	for _, word := range []string{s.Export.Path, "`unibusd migration abort`", "unibusd restore --from BACKUP --db " + s.Export.Path} {
		if s.Error == nil || !strings.Contains(s.Error.Text+s.Error.Next, word) {
			t.Errorf("%v does not name %s", s.Error, word)
		}
	}
}

// TestRollbackWhoseFileIsLost: the authority is a file that cannot be opened.
// Once it is there it is served; nothing else brings the rollback to its end.
func TestRollbackWhoseFileIsLost(t *testing.T) {
	t.Parallel()
	w, j, g := newUnservedRollback(t)
	if _, err := j.Start(t.Context(), "ana", w.options()); core.KindOf(err) != core.KindRefused {
		t.Errorf("a new move: %v", err)
	}
	_ = j.Close()
	j = w.job(t, nil) // a restart changes nothing
	wantUnservedRollback(t, w, awaitStopped(t, j))
	w.locked(func() { w.before = nil })
	if _, err := j.Resume(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	wantState(t, awaitStopped(t, j), StateRolledBack)
	e, err := j.cfg.Journal.Load()
	if w.serving != core.BackendSQLite || g.open || !w.target.equal(w.source) || err != nil || e.FileNeverServed {
		t.Errorf("serving %s, KV open %v, equal %v, journal %+v, %v", w.serving, g.open, w.target.equal(w.source), e, err)
	}
}

// TestLostRollbackGoesBackToKV: until the file was served, KV is complete.
func TestLostRollbackGoesBackToKV(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		w, j, g := newUnservedRollback(t)
		file := j.Status().Export.Path
		if restart {
			_ = j.Close()
			j = w.job(t, nil)
			wantUnservedRollback(t, w, awaitStopped(t, j))
		}
		if _, err := j.Abort(t.Context(), "ana"); err != nil {
			t.Fatal(err)
		}
		s := awaitStopped(t, j)
		want := core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 4}
		if s.State != StateSoak || w.authority != want || w.serving != core.BackendKV || !g.open || g.generation != 4 {
			t.Fatalf("%s, %v, authority %+v, serving %s, guards %+v", s.State, s.Error, w.authority, w.serving, *g)
		}
		if e, err := j.cfg.Journal.Load(); err != nil || e.FileNeverServed || e.Intent != nil || e.FileIsAuthority || e.File != s.Source.Path {
			t.Errorf("journal %+v, %v", e, err)
		}
		if !strings.Contains(s.Error.Text, file) || len(glob(w.dir, "unibus-rollback-*")) != 1 {
			t.Errorf("the file is not left and named: %v", s.Error)
		}
		w.locked(func() { w.before = nil })
		wantState(t, rollBackAndWait(t, j), StateRolledBack)
	}
}

// TestServedRollbackIsNotTakenBack: KV may lack what was written to the file since.
func TestServedRollbackIsNotTakenBack(t *testing.T) {
	t.Parallel()
	w, j, _ := newUnservedRollback(t)
	if err := w.journal.Update(func(e *Entry) { e.FileNeverServed = false }); err != nil { // as its node does before it serves the file
		t.Fatal(err)
	}
	if _, err := j.Abort(t.Context(), "ana"); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "served already") {
		t.Errorf("%v", err)
	}
	if w.authority.Backend != core.BackendSQLite {
		t.Errorf("authority %+v", w.authority)
	}
}

// TestCrashWhileARollbackIsTakenBack: killed anywhere on the way back to KV, it comes to one end.
func TestCrashWhileARollbackIsTakenBack(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 12; at++ {
		for _, done := range []bool{true, false} {
			w, j, g := newUnservedRollback(t)
			n := 0
			die := func(op string) error {
				if op == "adopt" {
					return core.Errorf(core.KindNotFound, "the file does not exist")
				}
				if n++; op != "put migration" && op != "migration" && n >= at {
					return errCrashed
				}
				return nil
			}
			w.locked(func() {
				if done {
					w.after = die
				} else {
					w.before = die
				}
			})
			if _, err := j.Abort(t.Context(), "ana"); err == nil {
				awaitStatus(t, j, "the crash", func(s Status) (over bool) {
					w.locked(func() { over = n >= at })
					return over || !s.Running
				})
			}
			_ = j.Close()
			w.locked(func() {
				w.after, w.serving = nil, core.BackendNone
				w.before = func(op string) error {
					if op == "adopt" {
						return core.Errorf(core.KindNotFound, "the file does not exist")
					}
					return nil
				}
			})
			j = w.job(t, nil)
			s := awaitStopped(t, j)
			if s.State == StateRollback {
				if _, err := j.Abort(t.Context(), "ana"); err != nil {
					t.Fatal(err)
				}
				s = awaitStopped(t, j)
			}
			w.locked(func() { w.openGuards() })
			if s.State != StateSoak || w.authority.Backend != core.BackendKV || !g.open {
				t.Fatalf("crash at %d (done %v): %s, %v, %+v, open %v", at, done, s.State, s.Error, w.authority, g.open)
			}
		}
	}
}
