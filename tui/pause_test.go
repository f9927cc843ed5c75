package tui_test

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/tui/tuitest"
)

func TestPausedScreenDoesNotAge(t *testing.T) {
	t.Parallel()
	h, _, clock := newHarnessWithClock(t, tuitest.Healthy())
	h.Press("space")
	before := h.Screen()
	clock.advance(time.Minute)
	h.Tick()
	assertShows(t, h, "paused 1 m 0 s", "12:05:31", "● healthy")
	assertHides(t, h, "No answer", "not known")
	body := func(screen string) string { return strings.Join(strings.Split(screen, "\n")[1:], "\n") }
	if got := h.Screen(); body(got) != body(before) {
		t.Errorf("the screen changed from\n%s\nto\n%s", before, got)
	}
}

func TestPauseKeepsAStaleVerdict(t *testing.T) {
	t.Parallel()
	h, f, clock := newHarnessWithClock(t, tuitest.Healthy())
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	clock.advance(5 * time.Minute)
	h.Tick()
	assertShows(t, h, "? not known, was healthy")
	h.Press("space")
	assertShows(t, h, "? not known, was healthy", "paused 0 s")
}

func TestPauseEndsForAPageThatWasNotPolled(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("space", "2", "7")
	assertShows(t, h, "paused 0 s")
	h.Press("4")
	assertShows(t, h, "Resumed: this page was not in the paused snapshot.", "live from n1", "191 active")
	assertHides(t, h, "Waiting for")
	h.Press("5", "space", "down", "enter")
	assertShows(t, h, "live from n1")
	assertHides(t, h, "Waiting for")
}

// TestPauseLastsOnItsPage: a page that was open or listed when the pause began stays on the screen; a step on
// the same page does not make the screen live.
func TestPauseLastsOnItsPage(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.Healthy())
	h.Press("4", "down", "space", "enter")
	assertShows(t, h, "paused 0 s", "can connect to every node")
	h.Press("esc", "esc", "space", "5", "space", "down")
	h.Screen()
	h.Tick()
	assertShows(t, h, "paused 0 s", "> room-01")
	h.Press("7", "5") // both are in the snapshot
	assertShows(t, h, "paused 0 s", "> room-01")
	h.Press("enter")
	assertShows(t, h, "Resumed: this room was not in the paused snapshot.", "live from n1", "Rekey required")
	h.Press("space", "esc", "esc", "enter") // it is by now
	assertShows(t, h, "paused 0 s", "Rekey required")
	h.Press("space", "9", "space", "end", "down", "7", "9")
	assertShows(t, h, "paused 0 s")
	assertHides(t, h, "Resumed")
}

func TestActionsEndAPause(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"r"}, {":", "user revoke", "enter"}} {
		h, f := newHarness(t, tuitest.Healthy())
		h.Press("4", "down", "space")
		f.Change(func(state *tuitest.ClusterState) {
			state.Users = append([]core.User(nil), state.Users...)
			for i := range state.Users {
				state.Users[i].Status = core.UserRevoked
			}
		})
		h.Tick()
		assertShows(t, h, "191 active")
		h.Press(keys...)
		assertShows(t, h, "live from n1", "is revoked already.")
	}
}

func TestPauseStopsUpdates(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press("space")
	assertShows(t, h, "paused 0 s", "space resume")
	f.Set(tuitest.NoQuorum())
	h.Tick()
	assertShows(t, h, "● healthy")
	h.Press("space")
	assertShows(t, h, "✖ critical", "live from n1")
}
