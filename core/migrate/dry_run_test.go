package migrate

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// While it runs every other command is refused, and the refusal says why;
// afterwards the migration is as before.
func TestDryRunLeavesAVerifiedMigrationAlone(t *testing.T) {
	t.Parallel()
	w, j := newVerified(t, nil, false)
	hold, held := make(chan struct{}), make(chan struct{})
	w.locked(func() {
		w.before = func(op string) error {
			if op == "problems" {
				close(held)
				w.mu.Unlock()
				<-hold
				w.mu.Lock()
			}
			return nil
		}
	})
	o := w.options()
	o.DryRun = true
	if _, err := j.Start(t.Context(), "eve", o); err != nil {
		t.Fatal(err)
	}
	<-held
	for name, f := range map[string]func() (Status, error){
		"abort":   func() (Status, error) { return j.Abort(t.Context(), "a") },
		"cutover": func() (Status, error) { return j.Cutover(t.Context(), "a") },
		"pause":   func() (Status, error) { return j.Pause(t.Context(), "a") },
		"start":   func() (Status, error) { return j.Start(t.Context(), "a", w.options()) },
	} {
		if _, err := f(); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "a dry run is running") {
			t.Errorf("%s: %v", name, err)
		}
	}
	close(hold)
	s := awaitStopped(t, j)
	if s.State != StateVerify || !s.Verified || s.By != "ana" || s.Options.DryRun {
		t.Errorf("%s, verified %v, by %s, %+v", s.State, s.Verified, s.By, s.Options)
	}
	w.locked(func() { w.before = nil })
	if s, err := j.Abort(t.Context(), "bob"); err != nil || s.State != StateAborted {
		t.Errorf("%s, %v", s.State, err)
	}
}

// TestDryRunProblemsAreGoneAfterTheNextCommand: they are shown until the migration
// goes on, and are not what became of it.
func TestDryRunProblemsAreGoneAfterTheNextCommand(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"cutover", "abort"} {
		w, j := newVerified(t, nil, false)
		w.locked(func() { w.problems = []core.Problem{{Text: "orphan"}} })
		o := w.options()
		o.DryRun = true
		s := startAndWait(t, j, o)
		if s.State != StateVerify || !s.Verified || len(s.Problems) != 1 || core.KindOf(errOf(s)) != core.KindRefused {
			t.Fatalf("%s, verified %v, %v, %v", s.State, s.Verified, s.Problems, s.Error)
		}
		if then == "cutover" {
			s = cutOverAndWait(t, j)
			wantState(t, s, StateSoak)
		} else if _, err := j.Abort(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		s = j.Status()
		e, err := w.journal.Load()
		if err != nil || len(s.Problems) > 0 || len(e.Migration.Problems) > 0 || strings.Contains(s.Report(time.Now()), "orphan") {
			t.Errorf("%s: %v is left of the dry run (%v)", s.State, s.Problems, err)
		}
	}
}

// TestDryRunAfterAStoppedPreflight shows what it found, not what was found before;
// the migration that waits there can still be resumed, with its own options.
func TestDryRunAfterAStoppedPreflight(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.problems = []core.Problem{{Text: "orphan"}}
	j := w.job(t, nil)
	if s := startAndWait(t, j, w.options()); s.State != StatePreflight || len(s.Problems) != 1 {
		t.Fatalf("%s, %v", s.State, s.Problems)
	}
	w.locked(func() { w.problems = nil })
	o := w.options()
	o.DryRun, o.Rate = true, 7
	s := startAndWait(t, j, o)
	if len(s.Problems) != 0 || s.Error != nil || len(s.Buckets) != 5 || s.Buckets[0].Source.Count != 5 {
		t.Errorf("%v, %v, %+v", s.Problems, s.Error, s.Buckets)
	}
	if !strings.Contains(s.Result, "25 keys") || !strings.Contains(s.Result, "stopped in preflight") {
		t.Error(s.Result)
	}
	if _, err := j.Resume(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	if s = awaitStopped(t, j); s.State != StateVerify || s.Options.Rate != 0 {
		t.Errorf("%s, %v, %+v", s.State, s.Error, s.Options)
	}
}

// A stopped --no-backup migration still needs it.
func TestDryRunLeavesTheTemporaryCopy(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 20)
	w.before = func(op string) error {
		if op == "put" {
			return core.Errorf(core.KindFailed, "the disk is full")
		}
		return nil
	}
	j := w.job(t, nil)
	o := w.options()
	o.NoBackup = true
	if s := startAndWait(t, j, o); s.State != StateCopy || s.Error == nil {
		t.Fatalf("%s, %v", s.State, s.Error)
	}
	w.locked(func() { w.before = nil })
	o.DryRun = true
	wantState(t, startAndWait(t, j, o), StateCopy)
	if _, err := j.Resume(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	wantState(t, awaitStopped(t, j), StateVerify)
	if left := glob(w.dir, ".*moving*"); len(left) > 0 {
		t.Errorf("the temporary copy is still there: %v", left)
	}
}

// TestWrittenAfterAKillIsAMinimum: the batch under way may be in KV and not counted.
func TestWrittenAfterAKillIsAMinimum(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 40)
	n := 0
	w.after = func(op string) error { // written, and the answer is not heard
		if op == "put" {
			n++
		}
		if n >= 4 {
			return errCrashed
		}
		return nil
	}
	j := w.job(t, nil)
	if _, err := j.Start(t.Context(), "ana", w.options()); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the kill", func(s Status) bool { return s.Error != nil })
	_ = j.Close()
	was, err := w.journal.Load()
	if err != nil {
		t.Fatal(err)
	}
	was.Migration.Running, was.Migration.Error = true, nil // as a kill leaves it
	if err := w.journal.Update(func(e *Entry) { e.Migration = was.Migration }); err != nil {
		t.Fatal(err)
	}
	w.locked(func() { w.after = nil })
	j = w.job(t, nil)
	if _, err := j.Resume(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	s := awaitStopped(t, j)
	wantState(t, s, StateVerify)
	if s.Written >= 200 || !strings.Contains(s.Result, "at least ") {
		t.Errorf("%d written of 200: %s", s.Written, s.Result)
	}
	if s = startAndWait(t, j, w.options()); s.Written != 0 || s.WrittenIsMinimum || strings.Contains(s.Result, "at least") {
		t.Errorf("a run of its own: %d, %s", s.Written, s.Result)
	}
}
