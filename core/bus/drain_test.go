package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// TestEachDrainTellsFirst: a session that an earlier drain has told to leave, and that
// stayed because the drain ended, is told again and gets its time again.
func TestEachDrainTellsFirst(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	told, ended := make(chan struct{}, 9), make(chan struct{})
	nc := r.mustDial(t, s, r.a, nats.NoReconnect(), nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} }),
		nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
	awaitTold := func(what string) {
		t.Helper()
		select {
		case <-told:
		case <-ended:
			t.Fatalf("%s: the session was ended without a notice", what)
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the session was not told", what)
		}
	}
	now := time.Now()
	s.SetDraining(true)
	s.DrainSessions(now)
	awaitTold("the first drain")
	s.SetDraining(false)
	s.SetDraining(true)
	now = now.Add(time.Hour)
	s.DrainSessions(now)
	awaitTold("the second drain")
	s.SetDraining(true) // as before: the notice stands
	s.DrainSessions(now.Add(time.Second))
	if err := nc.FlushTimeout(20 * time.Second); err != nil || len(told) > 0 {
		t.Errorf("a session was ended, or told twice, within its time: %v", err)
	}
	s.DrainSessions(now.Add(time.Minute))
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the session stays")
	}
}
