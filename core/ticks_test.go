package core_test

import (
	"testing"
	"time"

	"unibus/core"
)

// TestUntilTick: pauses end when the clock shows a multiple, and none is so short that the same
// moment is met twice.
func TestUntilTick(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{50 * time.Millisecond, 250 * time.Millisecond, time.Second, time.Minute} {
		before := time.Now()
		wait := core.UntilTick(every)
		if wait < every/8 || wait > every+every/8 {
			t.Errorf("%s: a pause of %s", every, wait)
		}
		late := before.Add(wait).Round(0).Sub(before.Add(wait).Truncate(every)) // the call itself took a moment
		if late = min(late, every-late); late > every/4 && every == time.Minute {
			t.Errorf("%s: it ends %s beside a multiple", every, late)
		}
	}
}

// TestTickAfter: the moment is a multiple, not before the time that has to pass, and not more than
// a period after it.
func TestTickAfter(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{-time.Second, 0, time.Millisecond, 700 * time.Millisecond, time.Hour} {
		before := time.Now()
		got := core.TickAfter(wait, 500*time.Millisecond)
		took := time.Since(before)
		if got < max(0, wait) || got > max(0, wait)+500*time.Millisecond {
			t.Errorf("after %s: %s", wait, got)
		}
		if off := before.Add(got).Sub(before.Add(got).Round(500 * time.Millisecond)).Abs(); off > took {
			t.Errorf("after %s: %s beside a multiple", wait, off)
		}
	}
}
