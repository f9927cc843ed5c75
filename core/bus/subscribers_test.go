package bus_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
)

// TestPresentKnowsOpenSessionsAlone: Subscribers returns each subscribed member once,
// and none whose connection has closed.
func TestPresentKnowsOpenSessionsAlone(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	r.users.join(r.a, "r", "s")
	r.users.join(r.b, "s")
	s := r.open(t, r.config(t, "n1"))
	in := func(room core.RoomID, limit int) []string {
		keys, more := s.Subscribers(func(g auth.Grant) bool { return g.Kind == auth.KindUser && g.In(room) }, "unibus.room."+string(room)+"._control", limit)
		if more > 0 {
			keys = append(keys, "and more")
		}
		return keys
	}
	both := []string{r.a.Public(), r.b.Public()}
	slices.Sort(both)
	wants := func(room core.RoomID, limit int, want ...string) {
		t.Helper()
		eventually(t, "the subscribers of "+string(room), func() bool { return slices.Equal(in(room, limit), want) })
	}
	subscribe := func(nc *nats.Conn, subject string) *nats.Subscription {
		t.Helper()
		sub, err := nc.SubscribeSync(subject)
		if err := errors.Join(err, nc.Flush()); err != nil {
			t.Fatal(err)
		}
		return sub
	}
	wants("r", 9)
	first, second := r.mustDial(t, s, r.a), r.mustDial(t, s, r.a)
	other := r.mustDial(t, s, r.b)
	if got := in("s", 9); len(got) > 0 {
		t.Errorf("%q may subscribe and did not, and are returned", got)
	}
	subscribe(first, "unibus.room.r._control")
	subscribe(first, "unibus.room.r.*")
	last := subscribe(second, "unibus.room.r.>")
	subscribe(second, "unibus.room.s.*")
	subscribe(other, "unibus.room.s."+r.b.Public()) // the messages of one member alone
	wants("r", 9, r.a.Public())
	wants("s", 9, r.a.Public())
	subscribe(other, "unibus.room.s._control")
	wants("s", 9, both...)
	wants("s", 1, both[0], "and more")
	wants("t", 9)
	first.Close()
	wants("r", 9, r.a.Public()) // the other session
	if err := errors.Join(last.Unsubscribe(), second.Flush()); err != nil {
		t.Fatal(err)
	}
	wants("r", 9)
	wants("s", 9, both...)
	second.Close()
	wants("s", 9, r.b.Public())
}
