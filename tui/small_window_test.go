package tui_test

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/tuitest"
)

func TestSmallWindowTakesNoAnswers(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.Healthy())
	s.Press("2")
	s.Send(tea.WindowSizeMsg{Width: 79, Height: 24})
	s.Press("d", "tab", "tab")
	s.Settle()
	s.Press("y", "enter")
	s.Settle()
	assertCalls(t, f)
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assertShows(t, s, "SERVES")
	assertHides(t, s, "[ Cancel ]")
	s.Press("d")
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 23})
	s.Settle()
	assertShows(t, s, "A dialog is open: esc cancels it.")
	s.Press("y")
	s.Settle()
	assertCalls(t, f)
	s.Press("esc")
	assertHides(t, s, "A dialog is open")
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assertHides(t, s, "[ Cancel ]")
}

func TestQQuitsInASmallWindow(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"marks": {"4", "m"}, "a detail": {"4", "enter"}, "a question": {"4", "a"}, "a prompt": {":"}} {
		s, _ := newHarness(t, tuitest.Healthy())
		s.Press(keys...)
		s.Settle()
		s.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
		s.Press("q")
		if s.Step(); !s.HasQuit {
			t.Errorf("with %s q does not quit", name)
		}
	}
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press("4", "down", "m", "m")
	confirmAction(s, "2 users", "r")
	s.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	s.Press("q")
	assertShows(t, s, "q quits anyway")
}

func TestSmallWindowShowsTheVerdict(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.NoQuorum())
	s.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	assertShows(t, s, "This console needs 80 x 24; the window is 60 x 20.", "✖ critical", "n2 and n3 do not answer.")
	s.Send(tea.WindowSizeMsg{})
	if got := strings.TrimSpace(s.Screen()); got != "" {
		t.Errorf("0x0 shows %q", got)
	}
	s.Press("4", "r", "?", "esc", ":", "esc") // nothing may divide by the width
	s.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assertShows(t, s, "4 users")
}
