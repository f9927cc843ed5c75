package tui_test

import (
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/tui/tuitest"
)

// TestUsersPageShowsEnds: a user with an end is shown with it, and as expired after it.
func TestUsersPageShowsEnds(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Users = slices.Clone(state.Users[:3])
	for i, end := range []time.Duration{-time.Hour, 48 * time.Hour} {
		state.Users[i].Status, state.Users[i].Expires = core.UserActive, core.MillisOf(tuitest.Now.Add(end))
	}
	state.Users[2].Status = core.UserActive
	h, _ := newHarness(t, state)
	h.Press("4")
	assertShows(t, h, "2 active, 0 revoked, 1 expired", "expired", "until "+tuitest.Now.Add(48*time.Hour).Format(time.DateOnly))
	h.Press("home", "enter")
	assertShows(t, h, "expired: refused by every node", "expires")

	state.Users[1].Expires = core.MillisOf(time.Date(2028, 1, 31, 9, 30, 0, 0, tuitest.Now.Location()))
	h, _ = newHarness(t, state)
	h.Press("4", "home", "down", "enter")
	assertShows(t, h, "31 Jan 2028 09:30") // a day of this year would be another one
}
