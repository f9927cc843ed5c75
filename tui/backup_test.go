package tui_test

import (
	"slices"
	"testing"

	"unibus/core"
	"unibus/tui/tuitest"
)

// TestBackUpNow: by key and by command, with a dialog; a second one waits for the first, and a
// cluster without a schedule says what it lacks.
func TestBackUpNow(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"key": {"b"}, "command": {":", "backup now", "enter"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, client := newHarness(t, tuitest.BackedUp())
			h.Press(keys...)
			h.Settle()
			assertShows(t, h, "Make the scheduled backup now?", "/var/backups/unibus", "unibusd backup now")
			if slices.Contains(client.Calls(), "backup now") {
				t.Fatal("it was asked for before it was confirmed")
			}
			h.Press("tab", "enter")
			h.Settle()
			if !slices.Contains(client.Calls(), "backup now") {
				t.Fatalf("the calls are %v", client.Calls())
			}
			h.Press("esc")
			h.Settle()
			assertShows(t, h, "n2 makes one for")
			h.Press(":", "backup now", "enter")
			h.Settle()
			assertShows(t, h, "n2 makes one already")
		})
	}
	h, client := newHarness(t, tuitest.Healthy())
	h.Press(":", "backup now", "enter")
	h.Settle()
	assertShows(t, h, "no node has a schedule of backups")
	viewer := tuitest.BackedUp()
	viewer.Status.Operator.Role = core.OperatorViewer
	h, asked := newHarness(t, viewer)
	h.Press(":", "backup now", "enter")
	h.Settle()
	assertShows(t, h, "only an admin may do this")
	if slices.Contains(append(client.Calls(), asked.Calls()...), "backup now") {
		t.Error("it was asked for all the same")
	}
}
