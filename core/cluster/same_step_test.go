package cluster

import (
	"strings"
	"testing"
)

// TestOneStepIsSaidOnce: a step that a control plane still waits for is one incident, and one
// finding.
func TestOneStepIsSaidOnce(t *testing.T) {
	t.Parallel()
	for _, c := range judgedViews() {
		said := map[string]Finding{}
		for _, f := range Judge(c.view, noon).Findings {
			step := f.Next
			if strings.Contains(step, "unibusd migrate-to-kv") {
				step = "migrate" // with whatever flags
			}
			of, twice := said[step]
			if twice && (step == "migrate" || strings.Contains(f.Text, "not exist yet")) {
				t.Errorf("%s: two findings say %q:\n  %s\n  %s", c.name, step, of.Text, f.Text)
			}
			said[step] = f
		}
	}
}
