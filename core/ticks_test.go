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
