package migrate

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestJetStreamTurnedOffIsNamed: a full disk is seen as silence by everybody else.
func TestJetStreamTurnedOffIsNamed(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"put", "replica.rows", "delete"} {
		w := newFakeCluster(t, 20)
		w.target[core.TableUsers]["stray"] = []byte("x")
		w.before = func(o string) error {
			if o == op {
				w.peers[1].JetStreamOff = true
				return core.Errorf(core.KindUnavailable, "no answer")
			}
			return nil
		}
		j := w.job(t, func(c *Config) { c.Limits.RetryBudget = 10 * time.Millisecond })
		s := startAndWait(t, j, w.options())
		wantTurnedOff(t, op, s.Error)
		if _, err := j.Abort(t.Context(), "bob"); op == "delete" {
			wantTurnedOff(t, "abort", core.AsError(err))
		}
	}
}

func wantTurnedOff(t *testing.T, where string, e *core.Error) {
	t.Helper()
	if e == nil || e.Kind != core.KindUnavailable || !strings.Contains(e.Text, "no answer; JetStream has turned itself off on n2") || !strings.Contains(e.Next, "restart unibusd there") {
		t.Errorf("%s: %v", where, e)
	}
}

// TestPreflightFindsJetStreamOff before anything is written.
func TestPreflightFindsJetStreamOff(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.peers[2].JetStreamOff = true
	s := startAndWait(t, w.job(t, nil), w.options())
	if s.State != StatePreflight || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, "off on n3") || w.authorityRevision != 0 {
		t.Errorf("%s, %+v, %v", s.State, s.Problems, s.Error)
	}
}
