package tui_test

import (
	"testing"

	"unibus/tui/tuitest"
)

func TestEscDoesWhatTheFooterSays(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "/", "dora-", "enter", "M")
	assertShows(t, h, "9 match /dora-. 9 marked.", "esc clear /dora-")
	assertHides(t, h, "esc unmark")
	h.Press("esc")
	assertShows(t, h, "9 marked", "esc unmark", "chidi-01")
	h.Press("esc")
	assertHides(t, h, "marked", "unmark")

	h.Press("down", "m", "/", "dora-", "enter", "q") // a hidden mark is kept
	if h.Step(); !h.HasQuit {
		t.Error("q does not quit")
	}
	h.Press("esc")
	assertShows(t, h, "1 marked")

	h, _ = newHarness(t, tuitest.Healthy())
	h.Press("5", "/", "room-11", "enter", "enter")
	assertShows(t, h, "esc back")
	assertHides(t, h, "esc clear")
}

func TestCtrlCCancelsThePrompt(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press(":", "user rev", "ctrl+c")
	if h.Step(); h.HasQuit {
		t.Error("ctrl+c in the prompt quits the console")
	}
	assertShows(t, h, "? help")
	h.Press("ctrl+c")
	if h.Step(); !h.HasQuit {
		t.Error("ctrl+c does not quit")
	}
}
