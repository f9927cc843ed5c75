package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestClaimsCauseFewReads: a member signs heartbeat after heartbeat that name statements and
// epochs which do not exist. The others read the room once for that, and tell of it once.
func TestClaimsCauseFewReads(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	suspicions := 0
	told := eventsOf(t, p.bob)
	h := seal.Heartbeat{Room: p.room.ID(), User: p.ann.User(), Time: core.MillisOf(time.Now()), Members: seal.MembershipHead{Seq: 1 << 40, Hash: seal.Hash{1}}, KEMTime: p.ann.ownKey().Time, KEMHash: p.ann.ownKey().Hash}
	looks := func() (n int) {
		p.liar.lie(func(l *lyingAPI) { n = l.looks })
		return n
	}
	before, until := looks(), time.Now().Add(3*time.Second)
	nodetest.Wait(t, wait, func() error {
		h.Time++
		h.Members.Seq++
		p.bobs.onHeartbeat(heartbeatMsg(p.room.ID(), p.ann.User(), must[[]byte](t)(h.Sign(p.ann.id))))
		if time.Now().Before(until) {
			return core.Errorf(core.KindConflict, "not long enough")
		}
		return nil
	})
	if n := looks() - before; n < 1 || n > 3 {
		t.Errorf("the room was read %d times because of a lie", n)
	}
	p.bob.events.emit(NotSent{})
	for {
		if e, is := await(t, "the last event", told).(Suspicion); is && errors.Is(e.Err, seal.ErrGap) {
			suspicions++
		} else if !is {
			break
		}
	}
	if suspicions != 1 {
		t.Errorf("it was told %d times", suspicions)
	}
	p.bobs.wake()
	p.at(t, 2)
	ok(t, p.bobs.Send(ctx(t), []byte("a lie of one member stops nobody")))
}

// TestClaims: each member has a read in half an interval, and all together one in some seconds.
func TestClaims(t *testing.T) {
	t.Parallel()
	var c heartbeatClaims
	now, every := time.Unix(0, 0), 10*time.Minute
	reads := func(user core.UserID, after time.Duration) bool {
		now = now.Add(after)
		return c.note(seal.Heartbeat{User: user}, now, every)
	}
	for i, want := range []bool{
		reads("ann", 0), !reads("ann", time.Second), !reads("bob", time.Second), reads("bob", claimReadEvery), !reads("ann", every/4), reads("ann", every/4),
	} {
		if !want {
			t.Errorf("step %d", i)
		}
	}
	if len(c.pending()) != 2 {
		t.Errorf("%+v", c.pending())
	}
	c.settle("ann")
	if p := c.pending(); len(p) != 1 || p[0].User != "bob" || reads("ann", 0) {
		t.Errorf("%+v", p)
	}
}

// TestEventsCannotBeOverlooked: one heartbeat that shows a fork, repeated by a node, is one event, and
// drives no other event out of the queue.
func TestEventsCannotBeOverlooked(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	h := seal.Heartbeat{Room: p.room.ID(), User: p.ann.User(), Time: 1, Members: seal.MembershipHead{Seq: 0, Hash: seal.Hash{1}}, KEMTime: 1, KEMHash: seal.Hash{2}}
	b := must[[]byte](t)(h.Sign(p.ann.id))
	var mu sync.Mutex
	suspicions, lost, told := 0, uint64(0), false
	events := p.bob.Events(t.Context()) // a program that is busy for a moment
	for range 5000 {
		p.bobs.onHeartbeat(heartbeatMsg(p.room.ID(), p.ann.User(), b))
	}
	p.bob.events.emit(IdentityChanged{Room: p.room.ID()})
	done := make(chan struct{})
	go func() {
		for e := range events {
			mu.Lock()
			switch e := e.(type) {
			case Suspicion:
				if errors.Is(e.Err, seal.ErrFork) {
					suspicions++
				}
			case EventsLost:
				lost += e.Events
			case IdentityChanged:
				told = true
			case NotSent:
				close(done)
				mu.Unlock()
				return
			}
			mu.Unlock()
		}
	}()
	nodetest.Wait(t, wait, func() error {
		p.bob.events.emit(NotSent{})
		select {
		case <-done:
			return nil
		default:
			return core.Errorf(core.KindConflict, "not yet")
		}
	})
	if suspicions > 1 || lost > 0 || !told {
		t.Errorf("%d events for one heartbeat, %d events lost, the change of an identity was told: %v", suspicions, lost, told)
	}
}

func heartbeatMsg(room core.RoomID, user core.UserID, b []byte) *nats.Msg {
	return &nats.Msg{Subject: auth.HeartbeatSubject(room, string(user)), Data: b}
}

// TestEventsHaveTheirPlaces: a program reads no events for a while. Others take no place of
// those that tell of lies, and these none of those that no program may overlook.
func TestEventsHaveTheirPlaces(t *testing.T) {
	t.Parallel()
	c := &Client{life: t.Context()}
	c.events.readers = map[*queue[Event]]struct{}{}
	events := c.Events(t.Context())
	for range 2 * pendingEvents {
		c.events.emit(NotSent{})
	}
	for range 2 * pendingSuspicions {
		c.events.emit(Suspicion{})
	}
	for _, e := range []Event{IdentityChanged{}, Founded{}, MembersDiffer{}, Stale{}, Rekeyed{Unlinked: true}, Rekeyed{}} {
		c.events.emit(e)
	}
	got := map[string]int{}
	for e := range events {
		got[fmt.Sprintf("%T", e)]++
		if lost, is := e.(EventsLost); is && lost.Events == 1 { // the Rekeyed that is like others
			break
		}
	}
	for name, want := range map[string]int{
		"client.NotSent": pendingEvents, "client.Suspicion": pendingSuspicions, "client.IdentityChanged": 1, "client.Founded": 1,
		"client.MembersDiffer": 1, "client.Stale": 1, "client.Rekeyed": 1,
	} {
		if got[name] != want {
			t.Errorf("%d events %s, not %d", got[name], name, want)
		}
	}
}

// TestFaultThatComesAndGoes: a node contradicts what is known, answers truly, and contradicts
// it again, as often as it can. That is told a bounded number of times, and stops the room each time.
func TestFaultThatComesAndGoes(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	fault := newSealFault(seal.ErrFork, "a lie")
	ok(t, runJob(t, p.bobs, func(_ context.Context, w *reconciler) error {
		for range 5000 {
			w.noteFault(fault)
			if !errors.Is(p.bobs.Err(), seal.ErrFork) {
				return core.Errorf(core.KindFailed, "the room goes on: %v", p.bobs.Err())
			}
			w.noteFault(nil)
		}
		return nil
	}))
	p.bob.events.emit(NotSent{})
	told := 0
	for {
		e := await(t, "the last event", p.events)
		if _, is := e.(Suspicion); is {
			told++
		}
		if _, is := e.(NotSent); is {
			break
		}
	}
	if told == 0 || told > maxToldOfRoom {
		t.Errorf("it was told %d times", told)
	}
}
