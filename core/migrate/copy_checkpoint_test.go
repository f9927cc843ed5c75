package migrate

import (
	"slices"
	"testing"
	"time"

	"unibus/core"
)

// Checkpoints are saved now and then, and the last one of all however the copy ends.
func TestCheckpointsAreSavedNowAndThen(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 70)
	var ops []string
	puts, fails := 0, true
	w.before = func(op string) error {
		ops = append(ops, op)
		if op == "put" {
			if puts++; puts > 20 && fails {
				return core.Errorf(core.KindFailed, "refused")
			}
		}
		return nil
	}
	j := w.job(t, func(c *Config) { c.Limits.CheckpointInterval = time.Hour })
	s := startAndWait(t, j, w.options())
	if s.State != StateCopy || s.Error == nil {
		t.Fatalf("%s, %v", s.State, s.Error)
	}
	w.locked(func() {
		first := slices.Index(ops, "put")
		last := len(ops) - 1 - slices.Index(reversed(ops), "put")
		saves := 0
		for _, op := range ops[first:last] {
			if op == "journal" {
				saves++
			}
		}
		if saves > 1 {
			t.Errorf("%d checkpoints were saved within an hour, want one", saves)
		}
		fails = false
	})
	reached := j.copyCheckpoint()
	e, err := w.journal.Load()
	if err != nil || e.Checkpoint == nil || *e.Checkpoint != reached || reached == (checkpoint{}) {
		t.Errorf("the journal has %+v, %v; the copy came to %+v", e.Checkpoint, err, reached)
	}
	if _, err := j.Resume(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	if s = awaitStopped(t, j); s.State != StateVerify || s.Error != nil || s.Written != 5*70 || s.WrittenIsMinimum {
		t.Errorf("%s, %v, %d written", s.State, s.Error, s.Written)
	}
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}
