package tui_test

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/tuitest"
)

func TestSmallWindowTakesNoAnswers(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("2")
	h.Send(tea.WindowSizeMsg{Width: 79, Height: 24})
	h.Press("d", "tab", "tab")
	h.Settle()
	h.Press("y", "enter")
	h.Settle()
	assertCalls(t, f)
	h.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assertShows(t, h, "SERVES")
	assertHides(t, h, "[ Cancel ]")
	h.Press("d")
	h.Send(tea.WindowSizeMsg{Width: 80, Height: 23})
	h.Settle()
	assertShows(t, h, "A dialog is open: esc cancels it.")
	h.Press("y")
	h.Settle()
	assertCalls(t, f)
	h.Press("esc")
	assertHides(t, h, "A dialog is open")
	h.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assertHides(t, h, "[ Cancel ]")
}

func TestQQuitsInASmallWindow(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"marks": {"4", "m"}, "a detail": {"4", "enter"}, "a question": {"4", "a"}, "a prompt": {":"}} {
		h, _ := newHarness(t, tuitest.Healthy())
		h.Press(keys...)
		h.Settle()
		h.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
		h.Press("q")
		if h.Step(); !h.HasQuit {
			t.Errorf("with %s q does not quit", name)
		}
	}
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "down", "m", "m")
	confirmAction(h, "2 users", "r")
	h.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	h.Press("q")
	assertShows(t, h, "q quits anyway")
}

func TestSmallWindowShowsTheVerdict(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.NoQuorum())
	h.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	assertShows(t, h, "The pages need 80 x 24; the window is 60 x 20.", "✖ critical", "n2 and n3 do not answer.")
	h.Send(tea.WindowSizeMsg{})
	if got := strings.TrimSpace(h.Screen()); got != "" {
		t.Errorf("0x0 shows %q", got)
	}
	h.Press("4", "r", "?", "esc", ":", "esc") // no code may divide by the width
	h.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	assertShows(t, h, "4 users")
}
