package client

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// hear has a room receive a message as a node delivers it, and waits until it is processed.
func hear(t *testing.T, r *Room, subject string, data []byte) {
	t.Helper()
	r.messages <- batch{items: []readerItem{{msg: &nats.Msg{Subject: subject, Data: data}}}}
	inLoop(t, r, func(*roomLoop) {})
}

// settle has a room answer what it was asked for.
func settle(t *testing.T, r *Room) {
	t.Helper()
	nodetest.Wait(t, wait, func() error {
		left := 0
		inLoop(t, r, func(l *roomLoop) { left = len(l.keyRequests) })
		if r.wake(); left > 0 {
			return core.Errorf(core.KindConflict, "%d requests are not answered", left)
		}
		return nil
	})
	ok(t, runJob(t, r, func(context.Context, *reconciler) error { return nil }))
}

// TestForgedKeyRequests: a node that asks in ann's name, who has the key, gets no new key made.
func TestForgedKeyRequests(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for range 5 {
		hear(t, p.bobs, p.room.subject, keyRequestText())
		settle(t, p.bobs)
	}
	if at, _ := p.bobs.Epoch(); at != 2 {
		t.Errorf("the room is at epoch %d", at)
	}
}

// TestMemberAsksWithoutEnd: a member that has its key and asks for it again and again costs one
// new key, and not one for each request.
func TestMemberAsksWithoutEnd(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for range 5 {
		askAs(t, p.ann, p.bobs, seal.RequestKey)
		settle(t, p.bobs)
		wait := p.bob.timing.renewEvery + 10*time.Millisecond
		begun := time.Now()
		nodetest.Wait(t, time.Minute, func() error {
			if time.Since(begun) < wait {
				return core.Errorf(core.KindConflict, "a new key could not be made yet")
			}
			return nil
		})
	}
	if at, _ := p.bobs.Epoch(); at > 3 {
		t.Errorf("the room is at epoch %d", at)
	}
}

// askAs has a room hear a signed request of a member.
func askAs(t *testing.T, c *Client, r *Room, kind seal.RequestKind) {
	t.Helper()
	kem := c.ownKey()
	b := must[[]byte](t)(seal.KeyRequest{Room: r.id, User: c.me, Time: core.MillisOf(time.Now()), Kind: kind, KEMTime: kem.Time, KEMHash: kem.Hash}.Sign(c.id))
	r.onHeartbeat(&nats.Msg{Subject: auth.HeartbeatSubject(r.id, string(c.me)), Data: b})
}

// TestRequestNamesTheNewestKey: ann has renewed her encryption key, which a thief has. A node
// that shows bob the stolen one gets no box for it once she has asked bob.
func TestRequestNamesTheNewestKey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	stolen := must[control.Profile](t)(p.bob.Profile(ctx(t), p.ann.User())).KEMKey
	ok(t, p.ann.RenewKey(ctx(t)))
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			for i := range all {
				if all[i].User == p.ann.User() {
					all[i].KEMKey = stolen
				}
			}
			return all
		}
	})
	askAs(t, p.ann, p.bobs, seal.RequestHeard)
	give := func(ctx context.Context, w *reconciler) error { return w.giveKey(ctx, p.ann.User()) }
	want(t, "giving the key to the thief", runJob(t, p.bobs, give), core.KindRefused, seal.ErrRollback)
}

// TestHeardSoon: a request has the members of a large room send heartbeats over a time in which
// most of them find it done, and not all at once.
func TestHeardSoon(t *testing.T) {
	t.Parallel()
	p := defaultTiming()
	for members, within := range map[int]time.Duration{2: 3 * time.Second, 500: 3 * time.Second, 10_000: time.Minute} {
		if got := p.heardWithin(members); got != within {
			t.Errorf("%d members: within %s", members, got)
		}
	}
	now, draw := time.Now(), func(d time.Duration) time.Duration { return d - 1 }
	plan := &heartbeatPlan{}
	plan.due(now, p.heartbeatEvery(10_000), draw)
	plan.soon(now, p.heardWithin(10_000), p.heartbeatEvery(10_000), draw)
	first := plan.at
	if plan.soon(now.Add(9*time.Minute), p.heardWithin(10_000), p.heartbeatEvery(10_000), draw); plan.at != first {
		t.Error("a second request within ten minutes counts")
	}
}

// TestRequestsCauseFewReads: a member that asks without end does not have the others read the
// room for each request.
func TestRequestsCauseFewReads(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	settle(t, p.bobs)
	looks := func() (n int) {
		p.liar.lie(func(l *lyingAPI) { n = l.looks })
		return n
	}
	before := looks()
	kem, begun := p.ann.ownKey(), core.MillisOf(time.Now())
	for i := range 200 {
		q := seal.KeyRequest{Room: p.bobs.id, User: p.ann.me, Time: begun + core.Millis(i), Kind: seal.RequestHeard, KEMTime: kem.Time, KEMHash: kem.Hash}
		p.bobs.onHeartbeat(&nats.Msg{Subject: auth.HeartbeatSubject(p.bobs.id, string(p.ann.me)), Data: must[[]byte](t)(q.Sign(p.ann.id))})
		ok(t, runJob(t, p.bobs, func(context.Context, *reconciler) error { return nil })) // whatever it has caused is done
	}
	if n := looks() - before; n > 5 {
		t.Errorf("200 requests have caused %d reads of the room", n)
	}
}
