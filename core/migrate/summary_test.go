package migrate

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestSummary: the state, why it is so, and the command that goes on, in fewer lines than
// the report has.
func TestSummary(t *testing.T) {
	t.Parallel()
	begun := func(state State, change func(*Status)) Status {
		s := Status{ID: "m1", State: state, By: "ana", Node: "n1"}
		for _, table := range core.Tables() {
			s.Buckets = append(s.Buckets, Parity{Name: table.Bucket(), Nodes: map[string]core.Digest{"n1": {}, "n2": {}}})
		}
		if change != nil {
			change(&s)
		}
		return s
	}
	for name, c := range map[string]struct {
		status Status
		want   []string
	}{
		"none":    {Status{State: StateNone}, []string{"state      none", "No migration was ever started", "unibusd migrate-to-kv --db FILE"}},
		"paused":  {begun(StateCopy, func(s *Status) { s.Paused = true }), []string{"copy, paused", "next       unibusd migration resume"}},
		"soak":    {begun(StateSoak, nil), []string{"state      soak", "next       unibusd migration finish"}},
		"done":    {begun(StateDone, nil), []string{"state      done", "everything unibusd migration report"}},
		"stopped": {begun(StateCopy, func(s *Status) { s.Error = core.Errorf(core.KindFailed, "it broke").WithNext("mend it") }), []string{"error      it broke", "do         mend it", "unibusd migration resume"}},
	} {
		got := c.status.Summary()
		for _, part := range c.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s lacks %q:\n%s", name, part, got)
			}
		}
		if full := c.status.Report(time.Unix(0, 0)); c.status.ID != "" && strings.Count(got, "\n") >= strings.Count(full, "\n") {
			t.Errorf("%s has as many lines as the report:\n%s", name, got)
		}
	}
}
