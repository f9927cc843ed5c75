package action_test

import (
	"strings"
	"testing"

	"unibus/tui/action"
	"unibus/tui/tuitest"
)

// TestCommandLinesAreQuoted: what was typed into a field, and the names that nodes report, are one word each to the
// shell that a command line is pasted into. A seed that was typed in the wrong place is not offered to be copied.
func TestCommandLinesAreQuoted(t *testing.T) {
	t.Parallel()
	const seed, hostile = "SUAFZQDX7PCWGLJJWV7HJO5YK4SHCY6OMVKM6OYESIGJDZSJRFB2VK62LI", "x; $(reboot)"
	for _, a := range action.Table() {
		for _, typed := range []string{seed, hostile, ""} {
			s := newState(tuitest.Healthy(), typed)
			for _, kind := range []string{action.KindUser, action.KindNode, action.KindBucket, action.KindRoom} {
				s.Selected.Kind = kind
				line := a.Command(s, []string{typed, typed, typed, typed, typed})
				if strings.Contains(line, seed[:10]) {
					t.Errorf("%s: the line is %s", a.Name, line)
				}
				if bare := strings.ReplaceAll(line, "'"+hostile+"'", ""); strings.Contains(bare, "reboot") {
					t.Errorf("%s: not quoted: %s", a.Name, line)
				}
				if strings.HasSuffix(line, " ") || strings.Contains(line, "  ") {
					t.Errorf("%s: a flag without a value: %q", a.Name, line)
				}
			}
		}
	}
}
