package migrate

import (
	"testing"

	"pgregory.net/rapid"

	"unibus/core"
)

// TestCrashAnywhere kills the daemon at some operation, with that operation done
// or not, and opens it again. The migration can always be completed, with equal
// rows on both sides, and at no moment are two stores in force.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(1, 160).Draw(rt, "at")
		done := rapid.Bool().Draw(rt, "done")
		crashOnce(t, at, done)
	})
}

func crashOnce(t *testing.T, at int, done bool) {
	t.Helper()
	w := newFakeCluster(t, 20)
	n := 0
	die := func(op string) error {
		if op == "put migration" || op == "migration" {
			return nil // the recorder's own pace is no part of the story
		}
		if n++; n >= at {
			return errCrashed
		}
		return nil
	}
	if done {
		w.after = func(op string) error {
			if err := die(op); err != nil {
				w.before = func(string) error { return errCrashed }
				return err
			}
			return nil
		}
	} else {
		w.before = die
	}
	j := w.job(t, nil)
	o := w.options()
	o.Cutover = true
	if _, err := j.Start(t.Context(), "ana", o); err == nil {
		awaitStatus(t, j, "the crash", func(s Status) (over bool) {
			w.locked(func() { over = n >= at })
			return over || !s.Running
		})
	}
	_ = j.Close()
	w.locked(func() { w.before, w.after, w.serving = nil, nil, core.BackendNone })

	j = w.job(t, nil)
	s := awaitStopped(t, j)
	wantOneAuthority(t, w, s)
	if s.State == StateCutover {
		t.Fatalf("crash at %d (done %v): the cutover was not settled: %v", at, done, s.Error)
	}
	if s.State != StateSoak {
		s = startAndWait(t, j, o)
	}
	wantState(t, s, StateSoak)
	wantOneAuthority(t, w, s)
	w.locked(func() {
		if !w.target.equal(w.source) {
			t.Fatalf("crash at %d (done %v): the rows differ", at, done)
		}
	})
}

// wantOneAuthority: KV is in force and the file fenced, or SQLite is in force and
// the file open.
func wantOneAuthority(t *testing.T, w *fakeCluster, s Status) {
	t.Helper()
	w.locked(func() {
		if kv := w.authority.Backend == core.BackendKV; kv != w.fenced {
			t.Fatalf("authority %+v, fenced %v in %s (%v)", w.authority, w.fenced, s.State, s.Error)
		}
	})
}
