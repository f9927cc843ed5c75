package client

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// quickHeartbeats are intervals that a test can wait for.
func quickHeartbeats(c *Client) {
	c.timing.minHeartbeat, c.timing.heartbeatPerMember, c.timing.rereadEvery = 400*time.Millisecond, time.Millisecond, 100*time.Millisecond
}

// trio is ann, bob with a lying node, and cid, in one encrypted room. Bob's node can
// freeze his view of it.
type trio struct {
	ann, bob, cid    *Client
	room, bobs, cids *Room
	liar             *lyingAPI
	events           <-chan Event
	withheld         func(*nats.Msg) bool // guarded by liar.mu
	cluster          *nodetest.Cluster
	bobFiles         testUser
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	n := startNode(t)
	p := &trio{liar: &lyingAPI{}, cluster: n}
	withhold := func(c *Client) {
		c.withhold = func(m *nats.Msg) bool {
			p.liar.mu.Lock()
			defer p.liar.mu.Unlock()
			return p.withheld != nil && p.withheld(m)
		}
	}
	p.ann = newTestUser(t, n, core.RoleMember).open(quickHeartbeats)
	p.bobFiles = newTestUser(t, n, core.RoleMember)
	p.bob = p.bobFiles.open(quickHeartbeats, between(p.liar), withhold)
	p.cid = newTestUser(t, n, core.RoleMember).open(quickHeartbeats)
	p.room = must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	join(t, p.room, p.bob)
	join(t, p.room, p.cid)
	awaitKeys(t, p.room)
	ok(t, p.room.Rekey(ctx(t)))
	p.bobs, p.cids = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID())), must[*Room](t)(p.cid.Room(ctx(t), p.room.ID()))
	isAt(t, p.bobs, 2)
	isAt(t, p.cids, 2)
	p.events = eventsOf(t, p.bob)
	return p
}

// freeze has bob's node answer as it does now, and withhold what it delivers.
func (p *trio) freeze(t *testing.T, withheld func(*nats.Msg) bool) {
	t.Helper()
	info := must[control.RoomInfo](t)(p.liar.controlAPI.Room(ctx(t), p.room.ID()))
	members := must[[]control.Member](t)(p.liar.controlAPI.Members(ctx(t), p.room.ID(), true))
	p.liar.lie(func(l *lyingAPI) {
		p.withheld = withheld
		l.room = func(r *control.RoomInfo) { *r = info }
		l.members = func(all []control.Member) []control.Member {
			if len(all) == 1 {
				return all
			}
			return members
		}
	})
}

func (p *trio) thaw() {
	p.liar.lie(func(l *lyingAPI) { p.withheld, l.room, l.members = nil, nil, nil })
}

// awaitHeard waits until bob has heard other members lately.
func (p *trio) awaitHeard(t *testing.T, who ...*Client) {
	t.Helper()
	since := core.MillisOf(time.Now())
	nodetest.Wait(t, wait, func() error {
		f := p.bobs.Freshness()
		for _, c := range who {
			if f.Heard[c.me] < since {
				return core.Errorf(core.KindConflict, "bob has not heard %s since: %+v", c.me.Short(), f)
			}
		}
		return nil
	})
}

// TestWithheldRemoval: a node withholds a removal, and all that shows it, from one
// member. That member is told that the room is stale, since when, and when it is over.
func TestWithheldRemoval(t *testing.T) { // bounds of seconds: not beside others
	p := newTrio(t)
	p.awaitHeard(t, p.ann, p.cid)
	p.freeze(t, func(*nats.Msg) bool { return true })
	frozen := core.MillisOf(time.Now())
	ok(t, p.room.Remove(ctx(t), p.cid.User()))
	e := awaitEvent(t, p.events, func(e Stale) bool { return !e.Over && p.bobs.Freshness().Stale })
	if e.Room != p.room.ID() || e.Since == 0 || e.Since > frozen+200 || e.After != p.bobs.Freshness().Within {
		t.Errorf("told: %+v, frozen at %d", e, frozen)
	}
	if e.By != p.ann.User() && e.By != p.cid.User() {
		t.Errorf("heard last was %s", e.By)
	}
	p.thaw()
	awaitEvent(t, p.events, func(e Stale) bool { return e.Over })
	isAt(t, p.bobs, 3)
	if _, signed := p.bobs.members.role(p.cid.User()); !signed || p.bobs.Freshness().Heard[p.cid.User()] > core.MillisOf(time.Now()) {
		t.Error("bob has not followed the removal")
	}
}

// TestHeartbeatShowsWhatIsWithheld: a node that delivers heartbeats and withholds the
// statements that they name is reported at once, with the member who signed them.
func TestHeartbeatShowsWhatIsWithheld(t *testing.T) {
	t.Parallel()
	p := newTrio(t)
	p.awaitHeard(t, p.ann)
	p.freeze(t, func(m *nats.Msg) bool { return !strings.HasSuffix(m.Subject, ".beat") })
	ok(t, p.room.Remove(ctx(t), p.cid.User()))
	e := awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrGap) })
	if !strings.Contains(e.Err.Error(), p.ann.User().Short()) {
		t.Errorf("told: %v", e.Err)
	}
	p.thaw()
	isAt(t, p.bobs, 3)
}

// TestRemovedMemberVouches: a removed member who works with the node can sign heartbeats
// of the past. Then the room is not stale, and Heard shows that no other member is heard.
func TestRemovedMemberVouches(t *testing.T) {
	t.Parallel()
	p := newTrio(t)
	p.awaitHeard(t, p.ann, p.cid)
	head, _ := p.bobs.members.head()
	p.freeze(t, func(m *nats.Msg) bool { return !strings.Contains(m.Subject, string(p.cid.me)) })
	ok(t, p.room.Remove(ctx(t), p.cid.User()))
	frozen := core.MillisOf(time.Now())
	nodetest.Wait(t, wait, func() error {
		h := seal.Heartbeat{Room: p.room.ID(), User: p.cid.me, Time: core.MillisOf(time.Now()), Members: head, KEMTime: p.cid.ownKey().Time, KEMHash: p.cid.ownKey().Hash}
		v := p.bobs.view.Load()
		h.Epoch, h.Record = v.head.Epoch, v.head.Hash
		b := must[[]byte](t)(h.Sign(p.cid.id))
		p.bobs.onHeartbeat(&nats.Msg{Subject: auth.HeartbeatSubject(p.room.ID(), string(p.cid.me)), Data: b})
		if f := p.bobs.Freshness(); f.Stale || f.Heard[p.cid.me] < frozen+core.Millis(2*f.Within.Milliseconds()) || f.Heard[p.ann.me] > frozen {
			return core.Errorf(core.KindConflict, "not long enough: %+v", f)
		}
		return nil
	})
	b := must[[]byte](t)(seal.Heartbeat{Room: p.room.ID(), User: p.cid.me, Time: core.MillisOf(time.Now()) + 1000, Members: head}.Sign(p.cid.id))
	before := p.room.Freshness().Heard[p.cid.me]
	p.room.onHeartbeat(&nats.Msg{Subject: auth.HeartbeatSubject(p.room.ID(), string(p.cid.me)), Data: b})
	if after := p.room.Freshness().Heard[p.cid.me]; after != before && after != 0 {
		t.Error("a removed member's heartbeat counts for those who know of the removal")
	}
}

// TestHeartbeatsThatDoNotCount: a heartbeat that is forged, repeated, or of another room
// is not taken for a new one, and a fork is shown.
func TestHeartbeatsThatDoNotCount(t *testing.T) {
	t.Parallel()
	p := newPair(t) // without heartbeats of their own in the time of the test
	head, _ := p.bobs.members.head()
	v := p.bobs.view.Load()
	good := seal.Heartbeat{Room: p.room.ID(), User: p.ann.me, Time: core.MillisOf(time.Now()) + 1000, Members: head, Epoch: v.head.Epoch, Record: v.head.Hash, KEMTime: p.ann.ownKey().Time, KEMHash: p.ann.ownKey().Hash}
	times := func() (at core.Millis) {
		inLoop(t, p.bobs, func(l *roomLoop) { at = l.heartbeatTimes[p.ann.me] })
		return at
	}
	come := func(as core.UserID, b []byte) {
		p.bobs.onHeartbeat(&nats.Msg{Subject: auth.HeartbeatSubject(p.room.ID(), string(as)), Data: b})
	}
	signed := func(h seal.Heartbeat, by *Client) []byte {
		h.User = by.me
		return must[[]byte](t)(h.Sign(by.id))
	}
	stranger := newTestUser(t, p.cluster, core.RoleMember).open()
	elsewhere := good
	elsewhere.Room = "elsewhere"
	for why, b := range map[string][]byte{
		"another's": signed(good, stranger), "another room's": signed(elsewhere, p.ann), "empty": nil, "text": []byte("hello"), "large": make([]byte, 1<<16),
	} {
		come(p.ann.me, b)
		if times() != 0 {
			t.Errorf("%s counts", why)
		}
	}
	come(stranger.me, signed(good, stranger))
	come(p.ann.me, signed(good, p.ann))
	if times() != good.Time {
		t.Error("a good one does not count")
	}
	older := good
	older.Time--
	come(p.ann.me, signed(older, p.ann))
	if times() != good.Time {
		t.Error("a repeated or older one counts")
	}
	if f := p.bobs.Freshness(); f.Heard[stranger.me] != 0 || f.Newest > core.MillisOf(time.Now()) {
		t.Errorf("heard: %+v", f)
	}
	forks := good
	forks.Time, forks.Members.Hash = good.Time+1, seal.Hash{1}
	come(p.ann.me, signed(forks, p.ann))
	awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrFork) })
	forks = good
	forks.Time, forks.Record = good.Time+2, seal.Hash{1}
	come(p.ann.me, signed(forks, p.ann))
	awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrFork) })
	if times() != good.Time {
		t.Error("a heartbeat of another history counts")
	}
	if err := p.bobs.Err(); err != nil {
		t.Errorf("the word of one member stops the room: %v", err)
	}
}

// TestHeartbeatCarriesTheNewestKey: a maker who has never seen a renewed key learns of it
// by a heartbeat, and seals nothing to the one before that a node goes on to show.
func TestHeartbeatCarriesTheNewestKey(t *testing.T) {
	t.Parallel()
	p := newTrio(t)
	shown := must[[]control.Member](t)(p.liar.controlAPI.Members(ctx(t), p.room.ID(), true))
	old := slices.IndexFunc(shown, func(m control.Member) bool { return m.User == p.cid.me })
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			for i := range all {
				if all[i].User == p.cid.me {
					all[i].KEMKey = shown[old].KEMKey
				}
			}
			return all
		}
	})
	ok(t, p.cid.RenewKey(ctx(t)))
	nodetest.Wait(t, wait, func() error {
		if known, _ := p.bob.dir.peer(p.cid.me); known.Hash != p.cid.kem.Hash() {
			return core.Errorf(core.KindConflict, "bob does not know of the renewed key")
		}
		return nil
	})
	ok(t, p.bobs.Rekey(ctx(t)))
	awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrRollback) })
	want(t, "a box for cid, sealed to the former key", second(p.ann.api.Key(ctx(t), p.room.ID(), 3)), "", nil)
	if k, err := p.cid.api.Key(ctx(t), p.room.ID(), 3); err == nil {
		h := must[seal.Hash](t)(seal.BoxKEMHash(k.Key.Box))
		if h != p.cid.kem.Hash() {
			t.Error("bob has sealed to the former key")
		}
	}
}

// TestHeartbeatsAreNoMessages: a program that reads the subjects of messages, as clients
// of an earlier release do, receives none.
func TestHeartbeatsAreNoMessages(t *testing.T) {
	t.Parallel()
	p := newTrio(t)
	sub := must[*nats.Subscription](t)(p.cid.nc.SubscribeSync(auth.RoomSubject(p.room.ID(), "*")))
	heard := p.cids.Chan(t.Context())
	p.awaitHeard(t, p.ann)
	ok(t, p.room.Send(ctx(t), []byte("a message")))
	m := must[*nats.Msg](t)(sub.NextMsgWithContext(ctx(t)))
	if m.Subject != auth.RoomSubject(p.room.ID(), string(p.ann.me)) || len(m.Data) != seal.Overhead+len("a message") {
		t.Errorf("before the message came %q", m.Subject)
	}
	receiveText(t, heard, "a message")
}

// TestHeartbeatsOfALargeRoom: how many heartbeats a room gets in an hour, by the rule
// alone. All members hear all others, or nobody hears anybody.
func TestHeartbeatsOfALargeRoom(t *testing.T) {
	t.Parallel()
	every := defaultTiming().heartbeatEvery
	for _, c := range []struct {
		members    int
		heard, cut int // at most, in an hour
	}{{2, 15, 15}, {10, 40, 70}, {100, 40, 650}, {1000, 40, 6100}, {10_000, 6, 6100}} {
		for _, hears := range []bool{true, false} {
			n, most := simulate(c.members, every(c.members), hears), c.cut
			if hears {
				most = c.heard
			}
			t.Logf("%d members, interval %s, hearing each other: %v: %.1f heartbeats an hour", c.members, every(c.members), hears, n)
			if n > float64(most) {
				t.Errorf("%d members, hearing each other: %v: %.1f heartbeats an hour, at most %d", c.members, hears, n, most)
			}
			if n < 0.9*float64(time.Hour)/float64(every(c.members)) {
				t.Errorf("%d members, hearing each other: %v: %.1f heartbeats an hour are fewer than one an interval", c.members, hears, n)
			}
		}
	}
}

// simulate is how many heartbeats an hour has, over ten intervals after the first two.
func simulate(members int, every time.Duration, hears bool) float64 {
	rng := rand.New(rand.NewPCG(1, uint64(members)))
	draw := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(max(d, 1)))) }
	begin := time.Unix(0, 0)
	plans, next := make([]heartbeatPlan, members), make([]time.Time, members)
	for i := range next {
		next[i] = begin.Add(draw(every)) // programs start when they like
	}
	sent := 0
	for now := begin; now.Before(begin.Add(12 * every)); now = now.Add(every / 2000) {
		for i := range plans {
			if now.Before(next[i]) {
				continue
			}
			send, wait := plans[i].due(now, every, draw)
			next[i] = now.Add(wait)
			if !send {
				continue
			}
			if now.After(begin.Add(2 * every)) {
				sent++
			}
			for j := range plans {
				if hears && j != i {
					plans[j].hear(core.UserID(rune(i)))
				}
			}
		}
	}
	return float64(sent) / (10 * every.Hours())
}

func BenchmarkHeartbeat(b *testing.B) {
	id := nodetest.Identity(b)
	me := core.UserID(id.Public())
	h := seal.Heartbeat{Room: "r0123456789abcdef0123", User: me, Time: 1, Members: seal.MembershipHead{Seq: 1, Hash: seal.Hash{1}}}
	signed := must[[]byte](b)(h.Sign(id))
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			_ = must[[]byte](b)(h.Sign(id))
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			_ = must[seal.Heartbeat](b)(seal.VerifyHeartbeat("r0123456789abcdef0123", me, signed))
		}
	})
	b.ReportMetric(float64(len(signed)), "bytes")
}
