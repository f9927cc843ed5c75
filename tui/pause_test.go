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
	s, _, at := newHarnessWithClock(t, tuitest.Healthy())
	s.Press("space")
	before := s.Screen()
	at.advance(time.Minute)
	s.Tick()
	assertShows(t, s, "paused 1 m 0 s", "12:05:31", "● healthy")
	assertHides(t, s, "No answer", "not known")
	body := func(screen string) string { return strings.Join(strings.Split(screen, "\n")[1:], "\n") }
	if got := s.Screen(); body(got) != body(before) {
		t.Errorf("the picture changed from\n%s\nto\n%s", before, got)
	}
}

func TestPauseKeepsAStaleVerdict(t *testing.T) {
	t.Parallel()
	s, f, at := newHarnessWithClock(t, tuitest.Healthy())
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	at.advance(5 * time.Minute)
	s.Tick()
	assertShows(t, s, "? not known, was healthy")
	s.Press("space")
	assertShows(t, s, "? not known, was healthy", "paused 0 s")
}

func TestPauseEndsForAPageThatWasNotPolled(t *testing.T) {
	t.Parallel()
	s, _ := newHarness(t, tuitest.Healthy())
	s.Press("space", "2", "7")
	assertShows(t, s, "paused 0 s")
	s.Press("4")
	assertShows(t, s, "Resumed: this page was not in the paused snapshot.", "live from n1", "191 active")
	assertHides(t, s, "Waiting for")
	s.Press("5", "space", "down", "enter")
	assertShows(t, s, "live from n1")
	assertHides(t, s, "Waiting for")
}

func TestActionsEndAPause(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"r"}, {":", "user revoke", "enter"}} {
		s, f := newHarness(t, tuitest.Healthy())
		s.Press("4", "down", "space")
		f.Change(func(state *tuitest.ClusterState) {
			state.Users = append([]core.User(nil), state.Users...)
			for i := range state.Users {
				state.Users[i].Status = core.UserRevoked
			}
		})
		s.Tick()
		assertShows(t, s, "191 active")
		s.Press(keys...)
		assertShows(t, s, "live from n1", "is revoked already.")
	}
}

func TestPauseStopsUpdates(t *testing.T) {
	t.Parallel()
	s, f := newHarness(t, tuitest.Healthy())
	s.Press("space")
	assertShows(t, s, "paused 0 s", "space resume")
	f.Set(tuitest.NoQuorum())
	s.Tick()
	assertShows(t, s, "● healthy")
	s.Press("space")
	assertShows(t, s, "✖ critical", "live from n1")
}
