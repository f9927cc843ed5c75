package tui_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/tuitest"
)

// connected is a healthy cluster in which the first user has so many sessions.
func connected(sessions int) tuitest.ClusterState {
	state := tuitest.Healthy()
	state.Users = slices.Clone(state.Users[:3])
	state.LastSeen = &core.LastSeen{}
	state.LastSeen.Begin(core.MillisOf(tuitest.Now.Add(-40 * 24 * time.Hour)))
	state.LastSeen.Mark([]core.UserID{state.Users[0].ID}, core.MillisOf(tuitest.Now.Add(-3*time.Hour)))
	for i := range sessions {
		state.Sessions = append(state.Sessions, admin.Session{
			ID: fmt.Sprintf("n2/%d-QK3T", 50+i), User: state.Users[0].ID, Node: "n2", Since: core.MillisOf(tuitest.Now.Add(-time.Hour)),
			Address: fmt.Sprintf("203.0.113.7:%d", 41000+i), Client: "sensor\x1b[31m", Lang: "go", Version: "1.55.0", Rooms: 2,
		})
	}
	return state
}

// TestUserPageListsSessions: from where and with what a user is connected, and when the user was seen.
func TestUserPageListsSessions(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, connected(2))
	h.Press("4", "home", "enter")
	h.Settle()
	assertShows(t, h, "last seen", tuitest.Now.Add(-3*time.Hour).Format("2006-01-02 15h"), "n2/50-QK3T since", "from 203.0.113.7:41001 with go 1.55.0, sensor")
	h.Press("esc", "down", "enter")
	h.Settle()
	assertShows(t, h, "never since", "none")

	silent := connected(30)
	silent.Silent = []string{"n3"}
	h, _ = newHarness(t, silent)
	h.Press("4", "home", "enter")
	h.Settle()
	assertShows(t, h, "and 24 more", "not known on n3")
}

// TestSessionEnds: the dialog offers the only session, or all of several; one that is gone is said to be.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, connected(1))
	h.Press("4", "home", "enter")
	h.Settle()
	assertShows(t, h, "n2/50-QK3T since")
	h.Press("X")
	h.Settle()
	assertShows(t, h, "End which session of", "n2/50-QK3T", "connects again at once", "unibusd session end n2/50-QK3T")
	h.Press("enter", "enter")
	h.Settle()
	assertShows(t, h, "1 session of")
	if !slices.Contains(client.Calls(), "session-end n2/50-QK3T") {
		t.Errorf("%q", client.Calls())
	}
	h, _ = newHarness(t, connected(3))
	h.Press("4", "home", "enter")
	h.Settle()
	assertShows(t, h, "n2/52-QK3T since")
	h.Press("X")
	h.Settle()
	assertShows(t, h, "unibusd session end U")
	h.Press("enter", "enter")
	h.Settle()
	assertShows(t, h, "3 sessions of")
}
