package tui_test

import (
	"testing"

	"unibus/tui/tuitest"
)

func TestQuitAsksWhileAnActionRuns(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {":", "quit", "enter"}} {
		s, _ := newHarness(t, tuitest.Healthy())
		s.Press(keys...)
		if s.Step(); !s.HasQuit {
			t.Errorf("%q does not quit", keys)
		}
		s, f := newHarness(t, tuitest.Healthy())
		s.Press("4", "down", "m", "m")
		confirmAction(s, "2 users", "r")
		s.Press("3")
		s.Press(keys...)
		assertShows(t, s, "Quit while user revoke is running?", "0 of 2 so far")
		s.Settle()
		if s.HasQuit || len(f.Calls()) != 2 {
			t.Errorf("%q: left %v with %q", keys, s.HasQuit, f.Calls())
		}
		assertShows(t, s, "2 users are revoked")
		assertHides(t, s, "Quit while")
	}
}

func TestSecondQuitQuits(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press("4", "down", "m", "m")
	confirmAction(s, "2 users", "r")
	s.DropPending() // its answer never comes
	s.Press("ctrl+c")
	s.Press("ctrl+c") // a repeated key: the operator cannot have read the dialog
	if s.Step(); s.HasQuit {
		t.Fatal("it left before its question could be read")
	}
	s.Settle()
	s.Press("ctrl+c")
	if s.Step(); !s.HasQuit {
		t.Error("ctrl+c does not leave when it is asked for again")
	}
}
