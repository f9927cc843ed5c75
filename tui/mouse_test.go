package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"unibus/tui/tuitest"
)

// clickOn clicks on the first place that shows a text, as a terminal reports it.
func clickOn(t *testing.T, term *tuitest.Terminal, text string) {
	t.Helper()
	x, y := 0, 0
	err := term.Wait(fmt.Sprintf("%q to click on", text), waitTimeout, func(screen string) bool {
		for i, line := range strings.Split(screen, "\n") {
			if before, _, found := strings.Cut(line, text); found {
				x, y = utf8.RuneCountInString(before)+1, i+1
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	term.Press(fmt.Sprintf("\x1b[<0;%d;%dM\x1b[<0;%d;%dm", x, y, x, y))
}

func startWithMouse(t *testing.T, state tuitest.ClusterState, w, h int) (*tuitest.Terminal, *tuitest.FakeClient) {
	t.Helper()
	cfg, f := newConfig(state)
	cfg.Mouse = true
	term := tuitest.StartTerminal(cfg, w, h)
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Errorf("the console ended with %v", err)
		}
	})
	waitFor(t, term, "live from n1")
	return term, f
}

// TestMouse clicks on a page's name, on rows, on a key of the footer and on the buttons of a dialog.
func TestMouse(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		term, f := startWithMouse(t, tuitest.Healthy(), size[0], size[1])
		clickOn(t, term, "4 users")
		waitFor(t, term, "200 users", "bruno-00")
		clickOn(t, term, "bruno-00")
		waitFor(t, term, "> bruno-00")
		clickOn(t, term, "bruno-00") // again: opens
		waitFor(t, term, "esc back", "can connect to every node")
		clickOn(t, term, "esc back")
		waitFor(t, term, "> bruno-00", "m M mark")
		term.Press("\x1b[<65;10;10M") // the wheel
		if err := term.Wait("the cursor three rows on", waitTimeout, func(s string) bool { return strings.Contains(s, ">") && !strings.Contains(s, "> bruno-00") }); err != nil {
			t.Error(err)
		}
		term.Press("\x1b[<64;10;10M")
		waitFor(t, term, "> bruno-00")
		clickOn(t, term, "r revoke")
		waitFor(t, term, "tab next")
		clickOn(t, term, "Cancel ]")
		waitFor(t, term, "m M mark")
		if calls := f.Calls(); len(calls) != 0 {
			t.Errorf("Cancel was clicked, and the console asked for %v", calls)
		}
		term.Press("1")
		waitFor(t, term, "RECENT")
		clickOn(t, term, "2 nodes")
		waitFor(t, term, "3 of 3 nodes answer.")
	}
}

// TestClickedButtonConfirmsNothingThatKeysWouldNot: a name that must be typed is asked for all the same.
func TestClickedButtonConfirmsNothingThatKeysWouldNot(t *testing.T) {
	t.Parallel()
	term, f := startWithMouse(t, tuitest.Healthy(), 100, 30)
	clickOn(t, term, "4 users")
	waitFor(t, term, "200 users", "> ana-00")
	term.Press("r")
	waitFor(t, term, "tab next")
	clickOn(t, term, "[ Revoke ]")
	waitFor(t, term, "That is not")
	if calls := f.Calls(); len(calls) != 0 {
		t.Errorf("the console asked for %v", calls)
	}
}

// TestMouseIsTheTerminalsUnlessItIsWanted: then the terminal selects text as everywhere.
func TestMouseIsTheTerminalsUnlessItIsWanted(t *testing.T) {
	t.Parallel()
	cfg, _ := newConfig(tuitest.Healthy())
	term := tuitest.StartTerminal(cfg, 100, 30)
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, term, "live from n1")
	if term.ReportsMouse() {
		t.Error("the console takes the mouse, and nobody asked for that")
	}
	term.Press(":", "mouse", "enter")
	waitFor(t, term, "Shift (in some terminals Option or Fn) selects text.")
	if !term.ReportsMouse() {
		t.Error(":mouse does not take the mouse")
	}
	term.Press(":", "mouse", "enter")
	waitFor(t, term, "The mouse is off")
	if term.ReportsMouse() {
		t.Error(":mouse does not give the mouse back")
	}
}
