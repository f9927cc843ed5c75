package tui_test

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/tui/tuitest"
)

var namesOfManyScripts = []string{"👨\u200d👩\u200d👧\u200d👦", "👍🏽 up", "❤️", "می\u200cخواهم", "ශ්\u200dරී ලංකා", "क्षत्रिय", "র\u200d্যাব", "日本", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "plain", "1️⃣", "e\u0301te\u0301"}

func usersOfManyScripts(t *testing.T, width int, env ...tea.Msg) *tuitest.Harness {
	t.Helper()
	state := tuitest.Healthy()
	state.Users = state.Users[:len(namesOfManyScripts)]
	for i := range state.Users {
		state.Users[i].Name = &namesOfManyScripts[i]
	}
	cfg, _ := newConfig(state)
	h := tuitest.NewHarness(cfg, width, 40)
	for _, msg := range env {
		h.Send(msg)
	}
	h.Press("4")
	return h
}

// TestColumnsStandInEveryTerminal: names with joiners are whole, and the columns after them are aligned by the
// measure of the terminal.
func TestColumnsStandInEveryTerminal(t *testing.T) {
	t.Parallel()
	clusters := tea.ModeReportMsg{Mode: ansi.ModeUnicodeCore, Value: ansi.ModeReset}
	for _, width := range []int{80, 120} {
		for name, c := range map[string]struct {
			h       *tuitest.Harness
			measure func(string) int
		}{
			"clusters":    {usersOfManyScripts(t, width, clusters), ansi.StringWidth},
			"code points": {usersOfManyScripts(t, width), ansi.StringWidthWc},
		} {
			at := map[int]int{}
			for _, line := range strings.Split(c.h.Screen(), "\n") {
				if before, _, ok := strings.Cut(line, "active"); ok && strings.Contains(line, " U") {
					at[c.measure(before)]++
				}
				if w := c.measure(line); w > width {
					t.Errorf("%s: %q has %d cells of %d", name, line, w, width)
				}
			}
			if len(at) != 1 {
				t.Errorf("%s: the column STATUS begins at %v:\n%s", name, at, c.h.Screen())
			}
			if strings.Contains(c.h.Screen(), "\uFFFD") {
				t.Errorf("%s: a name is spoiled:\n%s", name, c.h.Screen())
			}
			for _, n := range namesOfManyScripts {
				if !strings.Contains(c.h.Screen(), n) && (name == "clusters" || n != namesOfManyScripts[0]) {
					t.Errorf("%s: the name %q is missing", name, n)
				}
			}
		}
	}
}

// TestASCIILocale: in the C locale no byte of UTF-8 is written, and frames and marks are ASCII.
func TestASCIILocale(t *testing.T) {
	t.Parallel()
	for _, env := range []tea.EnvMsg{{"LANG=C"}, {"LANG=en_US.UTF-8", "LC_ALL=POSIX"}, {"TERM=xterm"}} {
		h := usersOfManyScripts(t, 100, env)
		for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7"}, {"8"}, {"9"}, {"?"}, {"esc", "4", "a"}} {
			h.Press(keys...)
			h.Settle()
			for _, r := range h.Model.View().Content + h.Model.View().WindowTitle {
				if r >= 0x80 {
					t.Fatalf("%q: after %q the screen holds %q:\n%s", env, keys, r, h.Screen())
				}
			}
		}
		assertShows(t, h, "+ Add a user ---", "| nkey")
	}
	cfg, _ := newConfig(tuitest.Healthy())
	cfg.Unicode = true
	h := tuitest.NewHarness(cfg, 100, 30)
	h.Send(tea.EnvMsg{"LANG=C"})
	assertShows(t, h, "● healthy")
}
