package kv

import (
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestChangeThatCouldNotReadIsNone: without a quorum a revocation fails before it writes, and
// says so, so that the caller repeats it.
func TestChangeThatCouldNotReadIsNone(t *testing.T) {
	t.Parallel()
	on := ownServers(t, 3)
	s := on.openWith(t, 0, Config{Replicas: 3, Timeout: 2 * time.Second, Node: "n1"})
	u := storetest.NewUser(t, "u")
	mustDo(t, s.AddUser(t.Context(), u))
	on.nodes[1].Shutdown()
	on.nodes[2].Shutdown()
	for _, by := range []core.UserID{"", u.ID} {
		var err error
		if by == "" {
			_, err = s.SetUserStatus(t.Context(), u.ID, core.UserRevoked, 9)
		} else {
			_, err = s.SetUserStatusAs(t.Context(), by, u.ID, core.UserRevoked, 9)
		}
		if core.KindOf(err) != core.KindUnavailable || core.OutcomeOf(err) != core.OutcomeNone {
			t.Errorf("%q: %v, outcome %q", by, err, core.OutcomeOf(err))
		}
	}
}
