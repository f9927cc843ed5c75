package tui_test

import (
	"strings"
	"testing"

	"unibus/tui/tuitest"
)

// suggested are the lines below the prompt.
func suggested(h *tuitest.Harness) []string {
	lines := strings.Split(strings.TrimRight(h.Screen(), "\n"), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, " :") {
			return lines[i+1:]
		}
	}
	return nil
}

func TestCommandsAreSuggested(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	for _, c := range []struct {
		typed, first string
		others       []string
	}{
		{"node d", "node drain", nil},
		{"drain", "node drain", nil}, // letters in order
		{"uact", "user activate", nil},
		{"node drain ", "node drain n1", []string{"node drain n2", "node drain n3"}},
		{"node drain 3", "node drain n3", nil},
		{"bucket step-down us", "bucket step-down users", nil},
		{"theme l", "theme light", nil},
		{"node resume n1", "node resume n1", []string{"not now: "}},
		{"migrate cut", "migrate cutover", []string{"not now: "}},
	} {
		h.Press(":", c.typed)
		lines := suggested(h)
		if len(lines) == 0 || !strings.HasPrefix(strings.TrimSpace(lines[0]), c.first) {
			t.Errorf("%q: %q", c.typed, lines)
		}
		for _, o := range c.others {
			if !strings.Contains(strings.Join(lines, "\n"), o) {
				t.Errorf("%q: no %q in %q", c.typed, o, lines)
			}
		}
		h.Press("esc")
	}
	h.Press(":", "zzzz")
	if lines := suggested(h); len(lines) != 0 {
		t.Errorf("suggested: %q", lines)
	}
	h.Press("esc", ":", "drain", "tab", "down", "down")
	if lines := suggested(h); len(lines) < 2 || !strings.HasPrefix(lines[1], "  > node drain n2") {
		t.Errorf("chosen: %q", lines)
	}
	h.Press("enter")
	assertShows(t, h, "Drain n2")
	if calls := f.Calls(); len(calls) != 0 {
		t.Errorf("unconfirmed: %q", calls)
	}
}

// TestSuggestionsAreBounded: 32 commands leave the page its lines.
func TestSuggestionsAreBounded(t *testing.T) {
	t.Parallel()
	cfg, _ := newConfig(tuitest.Healthy())
	h := tuitest.NewHarness(cfg, 80, 24)
	h.Press(":")
	if lines := suggested(h); len(lines) != 9 || !strings.Contains(lines[8], "more") {
		t.Errorf("%q", lines)
	}
	assertShows(t, h, "All three nodes answer")
	h.Press("u", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "down", "up")
	lines := suggested(h)
	if !strings.Contains(strings.Join(lines, "\n"), "  > ") || len(lines) > 9 {
		t.Errorf("the chosen one is not shown: %q", lines)
	}
}
