package tui_test

import (
	"testing"

	"unibus/tui/tuitest"
)

func TestEscDoesWhatTheFooterSays(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press("4", "/", "dora-", "enter", "M")
	assertShows(t, s, "9 match /dora-. 9 marked.", "esc clear /dora-")
	assertHides(t, s, "esc unmark")
	s.Press("esc")
	assertShows(t, s, "9 marked", "esc unmark", "chidi-01")
	s.Press("esc")
	assertHides(t, s, "marked", "unmark")

	s.Press("down", "m", "/", "dora-", "enter", "q") // marked, and not shown: it is kept
	if s.Step(); !s.HasQuit {
		t.Error("q does not quit")
	}
	s.Press("esc")
	assertShows(t, s, "1 marked")

	s, _ = newHarness(t, tuitest.Healthy())
	s.Press("5", "/", "room-11", "enter", "enter")
	assertShows(t, s, "esc back")
	assertHides(t, s, "esc clear")
}

func TestCtrlCCancelsThePrompt(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press(":", "user rev", "ctrl+c")
	if s.Step(); s.HasQuit {
		t.Error("ctrl+c in a half-typed command loses the console")
	}
	assertShows(t, s, "? help")
	s.Press("ctrl+c")
	if s.Step(); !s.HasQuit {
		t.Error("ctrl+c does not quit")
	}
}
