package tui_test

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/tui/tuitest"
)

// TestUndoTakesBackWhatWasChanged, and asks before. One that was revoked before stays so.
func TestUndoTakesBackWhatWasChanged(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	a, b := string(state.Users[0].ID), string(state.Users[1].ID)
	if state.Users[4].Status != core.UserRevoked {
		t.Fatal("the fifth user is active")
	}
	h, f := newHarness(t, state)
	h.Press("z")
	assertShows(t, h, "Nothing was done here that could be undone.")
	h.Press("4", "m", "m", "down", "down", "m", "r")
	h.Settle()
	h.Press("3 users", "enter", "enter")
	h.Settle()
	assertShows(t, h, "z lets them connect again.")
	h.Press("z") // in the message, too
	h.Settle()
	assertShows(t, h, "Activate 2 users?")
	h.Press("esc", "2", "z") // from any page
	h.Settle()
	assertShows(t, h, "Activate 2 users?", "for k in "+a[:20])
	assertCalls(t, f, "user-revoke "+a, "user-revoke "+b)
	h.Press("y")
	h.Settle()
	assertCalls(t, f, "user-revoke "+a, "user-revoke "+b, "user-activate "+a, "user-activate "+b)
	assertShows(t, h, "z revokes them again.")
	h.Press("esc", "z")
	h.Settle()
	assertShows(t, h, "Revoke 2 users?", "Type 2 users")
}

// TestUndoBringsValuesBack: the former number of replicas, and the end of a drain.
func TestUndoBringsValuesBack(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range state.Status.Nodes {
		info := *state.Status.Nodes[i].Info
		info.Replicas = 2
		state.Status.Nodes[i].Info = &info
	}
	h, f := newHarness(t, state)
	h.Press("3", "c")
	h.Settle()
	h.Press("backspace", "2", "enter", "enter")
	h.Settle()
	assertShows(t, h, "z scales back to 3.", "z undo")
	h.Press("esc", ":", "undo", "enter")
	h.Settle()
	assertShows(t, h, "Change the replicas of every bucket?", "bucket scale --replicas 3")
	h.Press("esc", "2", "o")
	h.Settle()
	h.Press("enter", "enter")
	h.Settle()
	if !strings.Contains(strings.Join(strings.Fields(h.Screen()), " "), "z ends the maintenance.") {
		t.Errorf("no undo of a drain:\n%s", h.Screen())
	}
	f.Change(func(s *tuitest.ClusterState) { s.Status.Maintenance = []core.Maintenance{{Node: "n1", By: "ana"}} })
	h.Press("esc", "3", "z")
	h.Settle()
	assertShows(t, h, "unibusd node resume n1")
}

// TestUndoOfNothing: an action that failed leaves what was to be undone before.
func TestUndoOfNothing(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("4", "r")
	h.Settle()
	h.Press("ana-00", "enter")
	f.Fail(core.Errorf(core.KindFailed, "the disk is full"))
	h.Press("enter")
	h.Settle()
	assertShows(t, h, "The disk is full.")
	assertHides(t, h, "z lets")
	f.Fail(nil)
	h.Press("esc", "z")
	assertShows(t, h, "Nothing was done here")
}

// TestUndoThatWouldBeRefusedIsNotOffered: the configuration asks for no more than one replica now.
func TestUndoThatWouldBeRefusedIsNotOffered(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range state.Status.Buckets {
		state.Status.Buckets[i].Wanted = 1
	}
	h, _ := newHarness(t, state)
	h.Press("3", "c")
	h.Settle()
	h.Press("backspace", "3", "enter", "enter")
	h.Settle()
	assertShows(t, h, "every bucket has 3 replicas")
	assertHides(t, h, "z scales back")
}
