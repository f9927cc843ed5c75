package widget_test

import (
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"unibus/tui/widget"
)

// TestScroll: every line can be reached, scrolling stops at the end, and the
// lines below are counted.
func TestScroll(t *testing.T) {
	t.Parallel()
	text := []string{"1", "2", "3", "4", "5"}
	var s widget.Scroll
	for _, c := range []struct {
		key  string
		want []string
	}{
		{"", []string{"1", "2", " ↓ 3 more lines: down"}},
		{"up", []string{"1", "2", " ↓ 3 more lines: down"}},
		{"j", []string{"2", "3", " ↓ 2 more lines: down"}},
		{"pgdown", []string{"3", "4", "5"}},
		{"down", []string{"3", "4", "5"}},
		{"k", []string{"2", "3", " ↓ 2 more lines: down"}},
		{"end", []string{"3", "4", "5"}},
		{"home", []string{"1", "2", " ↓ 3 more lines: down"}},
	} {
		if known := s.HandleKey(c.key); known != (c.key != "") {
			t.Errorf("%q is known: %v", c.key, known)
		}
		if d := cmp.Diff(c.want, stripStyles(s.VisibleLines(dark, text, 3))); d != "" {
			t.Errorf("after %q:\n%s", c.key, d)
		}
	}
	if s.HandleKey("end"); len(s.VisibleLines(dark, text, 9)) != 5 || s.ToTop() {
		t.Error("what fits is not scrolled")
	}
}

// TestPagesMissNoLine: the line that counts the lines below hides one of them.
func TestPagesMissNoLine(t *testing.T) {
	t.Parallel()
	text, seen := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, map[string]bool{}
	var s widget.Scroll
	for range 9 {
		for _, line := range s.VisibleLines(dark, text, 3) {
			seen[line] = true
		}
		s.HandleKey("pgdown")
	}
	for _, line := range text {
		if !seen[line] {
			t.Errorf("the line %s was never shown", line)
		}
	}
}

func stripStyles(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = ansi.Strip(l)
	}
	return out
}
