package tui_test

import (
	"testing"

	"unibus/core"
	"unibus/tui/tuitest"
)

// TestGuideOfAUserKeyTicks: steps become done while the guide is open, and answers about one key
// do not count for another.
func TestGuideOfAUserKeyTicks(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	bob, eve := state.Users[0], state.Users[1]
	bob.Status, eve.Status = core.UserActive, core.UserActive
	state.UserKeys = map[string]core.UserKey{string(bob.ID): {User: bob}, string(eve.ID): {User: eve}}
	h, f := newHarness(t, state)
	h.Press(":", "guide user-key-lost "+string(bob.ID), "enter")
	h.Tick()
	h.Tick()
	assertShows(t, h, "[>] Revoke", "unibusd user revoke "+string(bob.ID))
	revoked := bob
	revoked.Status = core.UserRevoked
	f.Change(func(s *tuitest.ClusterState) {
		ends := map[string]core.KeyEnding{"n1": {}, "n2": {}, "n3": {Ended: 1}}
		s.UserKeys = map[string]core.UserKey{string(bob.ID): {User: revoked, Sessions: ends, Rekey: []core.RoomID{"plans"}}, string(eve.ID): {User: eve}}
	})
	h.Tick()
	assertShows(t, h, "[x] Revoke", "[x] No node has a session of the key", "unibusd room rekey plans")
	h.Press("esc", ":", "guide user-key-lost "+string(eve.ID), "enter")
	assertHides(t, h, "[x] Revoke")
	h.Tick()
	assertShows(t, h, "[>] Revoke")
}
