package action_test

import (
	"strings"
	"testing"

	"unibus/tui/action"
	"unibus/tui/tuitest"
)

// commandsWith are the command lines of every action in which a text was typed into each field, and is the name of
// what is selected.
func commandsWith(text string) map[string][]string {
	out := map[string][]string{}
	for _, a := range action.Table() {
		for _, kind := range []string{action.KindUser, action.KindNode, action.KindBucket, action.KindRoom} {
			s := newState(tuitest.Healthy(), text)
			s.Selected.Kind = kind
			out[a.Name] = append(out[a.Name], a.Command(s, []string{text, text, text, text, text}))
		}
	}
	return out
}

// TestCommandLinesHoldNoSeed: a text that was typed in the wrong place is not offered to be copied.
func TestCommandLinesHoldNoSeed(t *testing.T) {
	t.Parallel()
	const seed = "SUAFZQDX7PCWGLJJWV7HJO5YK4SHCY6OMVKM6OYESIGJDZSJRFB2VK62LI"
	for name, lines := range commandsWith(seed) {
		if text := strings.Join(lines, "\n"); strings.Contains(text, seed[:10]) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestCommandLinesAreQuoted: each typed text, and each name that a node reports, is one word to the shell that a
// command line is pasted into. An empty field leaves no flag without a value.
func TestCommandLinesAreQuoted(t *testing.T) {
	t.Parallel()
	const hostile = "x; $(reboot)"
	for name, lines := range commandsWith(hostile) {
		if bare := strings.ReplaceAll(strings.Join(lines, "\n"), "'"+hostile+"'", ""); strings.Contains(bare, "reboot") {
			t.Errorf("%s is not quoted: %s", name, lines)
		}
	}
	for name, lines := range commandsWith("") {
		for _, line := range lines {
			if strings.HasSuffix(line, " ") || strings.Contains(line, "  ") {
				t.Errorf("%s: a flag without a value: %q", name, line)
			}
		}
	}
}
