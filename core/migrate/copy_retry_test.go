package migrate

import (
	"testing"
	"time"

	"unibus/core"
)

// TestCopyStopsWhereNothingIsWritten: reads go on and no write does, for longer than the patience.
func TestCopyStopsWhereNothingIsWritten(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 20)
	w.before = func(op string) error {
		if op == "put" {
			return core.Errorf(core.KindUnavailable, "no majority")
		}
		return nil
	}
	j := w.job(t, func(c *Config) { c.Limits.RetryBudget = 10 * time.Millisecond })
	if s := startAndWait(t, j, w.options()); s.State != StateCopy || core.KindOf(errOf(s)) != core.KindUnavailable {
		t.Errorf("%s, %v", s.State, s.Error)
	}
}
