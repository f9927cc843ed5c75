package migrate

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// setReading makes nodes read rows into memory, or have them.
func (w *fakeCluster) setReading(names ...string) {
	w.locked(func() {
		for i, p := range w.peers {
			w.peers[i].Ready = !slices.Contains(names, p.Name)
		}
	})
}

func TestVerifiedMigrationWaitsForLoadingNodes(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 20)
	w.setReading("n2", "n3")
	j := w.job(t, nil)
	o := w.options()
	o.Cutover = true
	if _, err := j.Start(t.Context(), "ana", o); err != nil {
		t.Fatal(err)
	}
	st := awaitStatus(t, j, "two nodes to be waited for", func(s Status) bool { return len(s.UnreadyNodes) == 2 })
	if !st.Verified || st.State != StateVerify || !st.Running {
		t.Errorf("it waits in %s, verified %v, running %v", st.State, st.Verified, st.Running)
	}
	if why := st.Unavailable(ActionCutover); !strings.Contains(why, "n2, n3") {
		t.Errorf("a cutover is not possible because %q", why)
	}
	if text := st.Report(time.Now()); !strings.Contains(text, "n2, n3: after a cutover") {
		t.Errorf("the report names nobody:\n%s", text)
	}
	w.setReading("n3")
	awaitStatus(t, j, "one node to be waited for", func(s Status) bool { return slices.Equal(s.UnreadyNodes, []string{"n3"}) })
	w.locked(func() {
		if w.fenced {
			t.Error("it was fenced while a node still reads")
		}
	})
	w.setReading()
	st = awaitStopped(t, j)
	wantState(t, st, StateSoak)
	if len(st.UnreadyNodes) > 0 {
		t.Errorf("still not ready: %v", st.UnreadyNodes)
	}
}

func TestSlowlyLoadingNodeDelaysNoCutover(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 20)
	w.setReading("n3")
	j := w.job(t, func(c *Config) { c.Limits.ReadyTimeout = 20 * time.Millisecond })
	st := startAndWait(t, j, w.options())
	wantState(t, st, StateVerify)
	if !st.Verified || !slices.Equal(st.UnreadyNodes, []string{"n3"}) || st.Unavailable(ActionCutover) != "" {
		t.Errorf("verified %v, not ready %v, why not: %s", st.Verified, st.UnreadyNodes, st.Unavailable(ActionCutover))
	}
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	wantState(t, awaitStopped(t, j), StateSoak)
}

func TestPauseEndsTheWaitForLoadingNodes(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 20)
	w.setReading("n2")
	j := w.job(t, nil)
	if _, err := j.Start(t.Context(), "ana", w.options()); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the wait", func(s Status) bool { return len(s.UnreadyNodes) > 0 })
	if _, err := j.Pause(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	st := awaitStopped(t, j)
	if st.State != StateVerify || !st.Verified || st.Error != nil {
		t.Fatalf("%s, verified %v, %v", st.State, st.Verified, st.Error)
	}
	w.setReading()
	if _, err := j.Cutover(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	wantState(t, awaitStopped(t, j), StateSoak)
}

// TestResumeOfAVerifiedMigration goes on to what was asked for when it was begun.
func TestResumeOfAVerifiedMigration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cutover, again bool // asked for at the start, and when it was started again in place of a resume
		end            State
		says           string
	}{
		{cutover: true, end: StateSoak, says: "Resume goes on to the cutover"},
		{again: true, end: StateSoak, says: "Resume waits for your cutover"},
		{end: StateVerify, says: "Resume waits for your cutover"},
	} {
		w := newFakeCluster(t, 20)
		w.setReading("n2")
		j := w.job(t, nil)
		o := w.options()
		o.Cutover = c.cutover
		if _, err := j.Start(t.Context(), "ana", o); err != nil {
			t.Fatal(err)
		}
		awaitStatus(t, j, "the wait", func(s Status) bool { return len(s.UnreadyNodes) > 0 })
		if _, err := j.Pause(t.Context(), "ana"); err != nil {
			t.Fatal(err)
		}
		s := awaitStopped(t, j)
		if !s.Paused || !s.Verified || s.Unavailable(ActionResume) != "" || !strings.Contains(s.Sentence(), c.says) {
			t.Fatalf("paused %v, verified %v, why not: %q; %s", s.Paused, s.Verified, s.Unavailable(ActionResume), s.Sentence())
		}
		w.setReading()
		ops := w.countOps()
		var err error
		if c.again {
			o.Cutover = true
			_, err = j.Start(t.Context(), "ana", o)
		} else {
			_, err = j.Resume(t.Context(), "ana")
		}
		if err != nil {
			t.Fatal(err)
		}
		s = awaitStopped(t, j)
		wantState(t, s, c.end)
		if ops.of("replica.rows") != 0 || s.Paused || s.Result == "" {
			t.Errorf("compared again %d times, paused %v, %q", ops.of("replica.rows"), s.Paused, s.Result)
		}
	}
}

// TestPausedMigrationIsStartedWithCutover: the wish is added to what it was begun with.
func TestPausedMigrationIsStartedWithCutover(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 20)
	slow := blockedTarget{fakeTarget{w}, &sync.Once{}, make(chan struct{})}
	j := w.job(t, func(c *Config) { c.Target = slow })
	if _, err := j.Start(t.Context(), "ana", w.options()); err != nil {
		t.Fatal(err)
	}
	<-slow.read
	if _, err := j.Pause(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	awaitStopped(t, j)
	_ = j.Close()
	j = w.job(t, nil)
	s := startAndWait(t, j, Options{DB: w.path(), Cutover: true})
	wantState(t, s, StateSoak)
	if s.Options.Replicas != 3 {
		t.Errorf("%+v", s.Options)
	}
}
