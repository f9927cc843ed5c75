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

// TestFooterNamesWhatKeysDo: no key that the page ignores, and each action by what
// it changes.
func TestFooterNamesWhatKeysDo(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Copying())
	h.Press("6")
	assertHides(t, h, "/ filter")
	h.Press("/")
	assertShows(t, h, "This page has no list to filter.")
	h, _ = newHarness(t, tuitest.Healthy())
	h.Press("4")
	assertShows(t, h, "/ filter")
	h.Press("2", "end", "enter")
	assertShows(t, h, "d move the meta leader")
}

// TestPauseOfTheScreenIsACommand under its name and its older one, and in the help.
func TestPauseOfTheScreenIsACommand(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"pause-screen", "hold"} {
		h, _ := newHarness(t, tuitest.Healthy())
		h.Press(":", command, "enter")
		assertShows(t, h, "space resume")
	}
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("?")
	assertShows(t, h, "pause-screen", "back; quit if nothing is open or marked", "on the users page")
}
