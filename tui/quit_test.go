package tui_test

import (
	"testing"

	"unibus/tui/tuitest"
)

func TestQuitAsksWhileAnActionRuns(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {":", "quit", "enter"}} {
		h, _ := newHarness(t, tuitest.Healthy())
		h.Press(keys...)
		if h.Step(); !h.HasQuit {
			t.Errorf("%q does not quit", keys)
		}
		h, f := newHarness(t, tuitest.Healthy())
		h.Press("4", "down", "m", "m")
		confirmAction(h, "2 users", "r")
		h.Press("3")
		h.Press(keys...)
		assertShows(t, h, "Quit while user revoke is running?", "0 of 2 so far")
		h.Settle()
		if h.HasQuit || len(f.Calls()) != 2 {
			t.Errorf("%q: quit %v with calls %q", keys, h.HasQuit, f.Calls())
		}
		assertShows(t, h, "2 users are revoked")
		assertHides(t, h, "Quit while")
	}
}

func TestSecondQuitQuits(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "down", "m", "m")
	confirmAction(h, "2 users", "r")
	h.DropPending() // the answer never arrives
	h.Press("ctrl+c")
	h.Press("ctrl+c") // a repeated key: the operator cannot have read the dialog
	if h.Step(); h.HasQuit {
		t.Fatal("it quit before the operator could read the dialog")
	}
	h.Settle()
	h.Press("ctrl+c")
	if h.Step(); !h.HasQuit {
		t.Error("a second ctrl+c does not quit")
	}
}
