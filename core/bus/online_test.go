package bus_test

import (
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/auth"
)

// TestPresentKnowsOpenSessionsAlone: of members of the room, each once, and not
// of those whose connection is gone.
func TestPresentKnowsOpenSessionsAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, core.BusAuthEnforce)
	r.users.join(r.a, "r", "s")
	r.users.join(r.b, "s")
	s := r.open(t, r.config(t, "n1"))
	in := func(room core.RoomID, limit int) []string {
		keys, more := s.Present(func(g auth.Grant) bool { return g.Who == auth.WhoUser && g.In(room) }, limit)
		if more > 0 {
			keys = append(keys, "and more")
		}
		return keys
	}
	both := []string{r.a.Public(), r.b.Public()}
	slices.Sort(both)
	wants := func(room core.RoomID, limit int, want ...string) {
		t.Helper()
		eventually(t, "who is in "+string(room), func() bool { return slices.Equal(in(room, limit), want) })
	}
	wants("r", 9)
	first, second := r.mustDial(t, s, r.a), r.mustDial(t, s, r.a)
	r.mustDial(t, s, r.b)
	wants("r", 9, r.a.Public())
	wants("s", 9, both...)
	wants("s", 1, both[0], "and more")
	wants("t", 9)
	first.Close()
	wants("r", 9, r.a.Public()) // the other session
	second.Close()
	wants("r", 9)
}
