package guide

import (
	"strings"
	"testing"

	"unibus/core/doctor"
)

// TestNodeThatWasJustRestarted: answers of a node's last run count for some seconds. The
// guide asks the node itself, and tells the operator nothing twice.
func TestNodeThatWasJustRestarted(t *testing.T) {
	t.Parallel()
	restart, _ := Named("restart")
	lost, _ := Named("quorum-lost")
	for name, c := range map[string]struct {
		guide Guide
		down  []string
		runs  map[string]string
		text  string
		asks  string
	}{
		"not asked":                {restart, nil, nil, "Next: Restart n2", "n2"},
		"the run that is known":    {restart, nil, map[string]string{"n2": "id-n2"}, "Next: Restart n2", ""},
		"it is down":               {restart, nil, map[string]string{"n2": ""}, "Wait: n2 does not answer any more.", ""},
		"another run":              {restart, nil, map[string]string{"n2": "other"}, "Wait: n2 has begun another run, and n1 has not heard it yet.", ""},
		"to be started":            {lost, []string{"n2", "n3"}, map[string]string{"n2": ""}, "Next: Start n2", ""},
		"started, not heard yet":   {lost, []string{"n2", "n3"}, map[string]string{"n2": "other"}, "Wait: n2 has begun another run, and n1 has not heard it yet.", ""},
		"to be started, not asked": {lost, []string{"n2", "n3"}, nil, "Next: Start n2", "n2"},
	} {
		f := whole()
		down(&f, c.down...)
		f.Runs = c.runs
		r := c.guide.Fill(f)
		if !strings.HasPrefix(r.Text, c.text) || r.NeedsRun != c.asks || r.Outcome != HasNext {
			t.Errorf("%s: %s: %q, asks %q", name, r.Outcome, r.Text, r.NeedsRun)
		}
	}
}

func TestComparedBucketsAreCounted(t *testing.T) {
	t.Parallel()
	one := doctor.Check{State: doctor.OK}
	for want, checks := range map[string][]doctor.Check{
		"there are no buckets yet": {}, "one bucket was compared, row by row": {one}, "2 buckets were compared, row by row": {one, one},
	} {
		if state, seen := proven(checks); state != Done || seen != want {
			t.Errorf("%s: %v, %q", want, state, seen)
		}
	}
}
