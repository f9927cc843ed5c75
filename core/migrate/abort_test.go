package migrate

import (
	"context"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// slowRemovals makes every removal take a while, and counts them.
func (w *fakeCluster) slowRemovals(d time.Duration, removed *int) {
	w.locked(func() {
		w.before = func(op string) error {
			if op == "delete" {
				*removed++
				_ = sleep(context.Background(), d) // a slow part
			}
			return nil
		}
	})
}

func wantAborted(t *testing.T, w *fakeCluster, s Status) {
	t.Helper()
	wantState(t, s, StateAborted)
	if s.Aborting != "" || w.authority.Backend != core.BackendNone || !w.target.equal(newTables()) || w.serving != core.BackendSQLite {
		t.Fatalf("aborting %q, authority %+v, serving %s, rows left %v", s.Aborting, w.authority, w.serving, !w.target.equal(newTables()))
	}
}

// It takes many times the retry budget, and the caller may leave.
func TestAbortContinuesWhileItMakesProgress(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, func(c *Config) { c.Limits.RetryBudget = 10 * time.Millisecond }, false)
	n := 0
	w.slowRemovals(5*time.Millisecond, &n)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	s, err := j.Abort(ctx, "bob")
	if err != nil || s.Aborting != "bob" || !s.Running {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, a := range []Action{ActionResume, ActionPause, ActionLimit, ActionCutover, ActionStart} {
		if s.Unavailable(a) == "" {
			t.Errorf("%s is possible meanwhile", a)
		}
	}
	if _, err := j.Start(t.Context(), "ana", w.options()); core.KindOf(err) != core.KindRefused {
		t.Errorf("a start meanwhile: %v", err)
	}
	s, err = j.Abort(t.Context(), "eve") // joins
	if err != nil || !strings.Contains(s.Result, "Aborted by bob in verify") || !strings.Contains(s.Result, "200 keys were removed") {
		t.Errorf("%q, %v", s.Result, err)
	}
	wantAborted(t, w, s)
}

// TestAbortGoesOnAfterARestart without being asked again.
func TestAbortGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	n := 0
	w.slowRemovals(2*time.Millisecond, &n)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := j.Abort(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "some to be removed", func(Status) (some bool) {
		w.locked(func() { some = n > 2 })
		return some
	})
	_ = j.Close()
	if w.target.equal(newTables()) {
		t.Fatal("nothing was left to do")
	}
	w.locked(func() { w.before = nil })
	wantAborted(t, w, awaitStopped(t, w.job(t, nil)))
}

// TestAbortWithoutAMajority says what to do and is asked again; a resume of what
// was half taken back would copy on from where it was, and miss what is gone.
func TestAbortWithoutAMajority(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, func(c *Config) { c.Limits.RetryBudget = 10 * time.Millisecond }, false)
	n := 0
	w.locked(func() {
		w.before = func(op string) error {
			if n++; op == "delete" && n > 3 {
				return core.Errorf(core.KindUnavailable, "no majority")
			}
			return nil
		}
	})
	s, err := j.Abort(t.Context(), "bob")
	if core.KindOf(err) != core.KindUnavailable || !strings.Contains(core.AsError(err).Next, "migration abort") || s.Running {
		t.Fatalf("%v, %+v", err, s)
	}
	if w.authority.Backend != core.BackendSQLite || w.serving != core.BackendSQLite {
		t.Errorf("authority %+v, serving %s", w.authority, w.serving)
	}
	_, err = j.Resume(t.Context(), "ana")
	wantRefused(t, err, "abort")
	w.locked(func() { w.before = nil })
	s, err = j.Abort(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	wantAborted(t, w, s)
}

// The first write of the authority has no answer yet when the migration is
// aborted, and arrives later.
func TestAbortKillsAClaim(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		w := newFakeCluster(t, 5)
		sent := make(chan struct{})
		w.locked(func() {
			once := false
			w.before = func(op string) error {
				if op != "put authority" {
					return nil
				}
				if !once {
					once = true
					close(sent)
				}
				return core.Errorf(core.KindUnavailable, "no answer")
			}
		})
		j := w.job(t, func(c *Config) { c.Limits.RetryBudget = 20 * time.Second })
		if _, err := j.Start(t.Context(), "ana", w.options()); err != nil {
			t.Fatal(err)
		}
		<-sent
		if restart {
			_ = j.Close()
			j = w.job(t, nil)
		}
		late := w.authorityRevision
		ended := make(chan error, 1)
		go func() {
			_, err := j.Abort(t.Context(), "bob")
			ended <- err
		}()
		awaitStatus(t, j, "the abort", func(s Status) bool { return s.Aborting != "" || s.State == StateAborted })
		w.locked(func() { w.before = nil })
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		_, err := w.PutAuthority(t.Context(), core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1}, late)
		if core.KindOf(err) != core.KindConflict || w.authority.Backend != core.BackendNone {
			t.Errorf("restart %v: the claim came in after the abort: %+v, %v", restart, w.authority, err)
		}
	}
}

// TestAbortAfterARunThatWroteNothing: an earlier run filled KV, and of the last
// one, which stopped in preflight, there is neither a count nor a checkpoint. A
// bucket without a leader is no bucket that is not there.
func TestAbortAfterARunThatWroteNothing(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	w.locked(func() { w.peers[1].Online, w.leaderless = false, core.TableUsers })
	s := startAndWait(t, j, Options{DB: w.path()})
	if s.State != StatePreflight || s.Written != 0 || len(s.Problems) == 0 {
		t.Fatalf("%s, %d written, %v", s.State, s.Written, s.Problems)
	}
	s, err := j.Abort(t.Context(), "bob")
	if core.KindOf(err) != core.KindUnavailable || s.Aborting != "bob" || w.authority.Backend != core.BackendSQLite {
		t.Fatalf("%v, %+v, authority %+v", err, s, w.authority)
	}
	w.locked(func() { w.leaderless = "" })
	s, err = j.Abort(t.Context(), "bob")
	if err != nil || !strings.Contains(s.Result, "200 keys were removed") {
		t.Errorf("%q, %v", s.Result, err)
	}
	wantAborted(t, w, s)
}

// TestAbortCreatesNoBuckets where it is proven that none was made.
func TestAbortCreatesNoBuckets(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.bucketsMissing, w.journalBehind["n3"] = true, true
	j := w.job(t, nil)
	if s := startAndWait(t, j, w.options()); s.State != StatePreflight || w.authority.Backend != core.BackendSQLite {
		t.Fatalf("%s, authority %+v", s.State, w.authority)
	}
	ops := w.countOps()
	s, err := j.Abort(t.Context(), "bob")
	if err != nil || ops.of("nodes") != len(core.Tables()) || ops.of("target.rows") != 0 {
		t.Errorf("%v, did %v", err, ops)
	}
	wantAborted(t, w, s)
}
