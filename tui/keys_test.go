package tui_test

import (
	"testing"

	"unibus/tui/tuitest"
)

func TestEscDoesWhatTheFootSays(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press("4", "/", "dora-", "enter", "M")
	shows(t, s, "9 match /dora-. 9 marked.", "esc clear /dora-")
	hides(t, s, "esc unmark")
	s.Press("esc")
	shows(t, s, "9 marked", "esc unmark", "chidi-01")
	s.Press("esc")
	hides(t, s, "marked", "unmark")

	s.Press("down", "m", "/", "dora-", "enter", "q") // marked, and not shown: it is kept
	if s.Step(); !s.Left {
		t.Error("q does not quit")
	}
	s.Press("esc")
	shows(t, s, "1 marked")

	s, _ = still(t, tuitest.Healthy())
	s.Press("5", "/", "room-11", "enter", "enter")
	shows(t, s, "esc back")
	hides(t, s, "esc clear")
}

func TestCtrlCGivesUpWhatIsTyped(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press(":", "user rev", "ctrl+c")
	if s.Step(); s.Left {
		t.Error("ctrl+c in a half-typed command loses the console")
	}
	shows(t, s, "? help")
	s.Press("ctrl+c")
	if s.Step(); !s.Left {
		t.Error("ctrl+c does not quit")
	}
}
