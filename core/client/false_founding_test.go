package client

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// foundingNode is a lying node that works with a user it invented: it shows a founding anew
// by this ghost, and keys that the ghost made.
type foundingNode struct {
	*lyingAPI
	ghost     keys.Identity
	published []byte // the ghost's encryption key
	ghostKEM  *seal.KEM

	mu     sync.Mutex
	keyOf  map[core.Epoch]control.Key // instead of the node's
	hidden core.Epoch                 // no box of it is shown
	before func()                     // called instead of founding the room, if it is set
	record core.EpochRecord           // what a member made, shown to nobody else
}

func newFoundingNode(t *testing.T) *foundingNode {
	t.Helper()
	g := &foundingNode{lyingAPI: &lyingAPI{}, ghost: nodetest.Identity(t), ghostKEM: must[*seal.KEM](t)(seal.NewKEM()), keyOf: map[core.Epoch]control.Key{}}
	g.published = must[[]byte](t)(g.ghostKEM.Publish(g.ghost, 1))
	return g
}

func (g *foundingNode) user() core.UserID { return core.UserID(g.ghost.Public()) }

// open opens a client whose node it is.
func (g *foundingNode) open(u testUser) *Client {
	return u.open(func(c *Client) {
		c.wrap = func(p controlAPI) controlAPI { g.controlAPI = p; return g }
	})
}

func (g *foundingNode) Key(ctx context.Context, id core.RoomID, e core.Epoch) (control.Key, error) {
	g.mu.Lock()
	k, is := g.keyOf[e]
	hidden := g.hidden == e
	g.mu.Unlock()
	switch {
	case is:
		return k, nil
	case hidden:
		return k, core.Errorf(core.KindNotFound, "no box")
	}
	return g.lyingAPI.Key(ctx, id, e)
}

func (g *foundingNode) FoundAnew(ctx context.Context, req control.FoundAnewRequest) (control.ChainHead, error) {
	if g.before == nil {
		return g.lyingAPI.FoundAnew(ctx, req)
	}
	g.before()
	return control.ChainHead{}, nil
}

func (g *foundingNode) Rekey(_ context.Context, record core.EpochRecord, _ []core.SealedKey) (core.Room, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.record = record
	return core.Room{ID: record.Room, Epoch: record.Epoch, Rec: record.Rec, Encrypted: true, State: core.RoomActive}, nil
}

// made is whether a member has made a key.
func (g *foundingNode) made() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.record.Epoch > 0
}

// found makes the node show a founding anew by the ghost, with the victim in it.
func (g *foundingNode) found(t *testing.T, room core.RoomID, victim core.UserID) *seal.Membership {
	t.Helper()
	people := map[core.UserID]core.MemberRole{g.user(): core.MemberOwner, victim: core.MemberMember}
	snapshot := must[[]byte](t)(seal.MakeSnapshot(room, true, people))
	m := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: room, By: g.ghost, At: core.MillisOf(time.Now()), Encrypted: true, Snapshot: snapshot}))
	g.lie(func(l *lyingAPI) {
		l.founding = func() (control.Statements, error) {
			return control.Statements{Statements: m.Statements(0), State: snapshot, Head: control.ChainHead{MembershipHead: m.Head()}}, nil
		}
		l.room = func(r *control.RoomInfo) { r.Chain = &control.ChainHead{MembershipHead: m.Head()} }
		l.members = func(all []control.Member) []control.Member {
			if len(all) < 2 { // of one member
				return all
			}
			return append(all, control.Member{Member: core.Member{Room: room, User: g.user(), Role: core.MemberOwner, State: core.MemberActive}, Status: core.UserActive, KEMKey: g.published})
		}
	})
	return m
}

// key makes a key of the ghost's, sealed to it and to the victim.
func (g *foundingNode) key(t *testing.T, cfg seal.RecordConfig, victim seal.KEMKey) seal.Rekeyed {
	t.Helper()
	own := must[seal.KEMKey](t)(seal.ParseKEMKey(g.user(), g.published))
	cfg.By, cfg.Rec, cfg.Key, cfg.Members, cfg.Reason = g.ghost, seal.NewRec(), seal.NewRoomKey(), []seal.KEMKey{own, victim}, seal.ReasonOther
	made := must[seal.Rekeyed](t)(seal.MakeRecord(cfg))
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range made.Keys {
		if b.User == victim.User {
			g.keyOf[cfg.Epoch] = control.Key{Key: b, Record: &made.Record}
		}
	}
	return made
}

// at makes the node say that the room is at a record.
func (g *foundingNode) at(m *seal.Membership, records ...core.EpochRecord) {
	newest := records[0]
	g.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) {
			r.Chain, r.Room.Epoch, r.Room.Rec = &control.ChainHead{MembershipHead: m.Head()}, newest.Epoch, newest.Rec
		}
		l.epochs = func(e *control.Epochs) { e.Records, e.Next = records, nil }
	})
}

// TestOwnersFoundingComesFirst: while the owner's founding is on its way, the node shows that
// of a ghost. The owner's client follows no other founding than its own.
func TestOwnersFoundingComesFirst(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	g := newFoundingNode(t)
	ok(t, o.ann.Close())
	ann := g.open(o.annFiles)
	room := must[*Room](t)(ann.Room(ctx(t), o.id))
	isAt(t, room, 1)
	members := o.known(t, room)
	g.before = func() {
		g.found(t, o.id, ann.User())
		ann.mu.Lock()
		ann.founders[o.id] = g.user() // as if the program had named the ghost
		ann.mu.Unlock()
		short, cancel := context.WithTimeout(ctx(t), time.Second)
		defer cancel()
		_ = room.runJob(short, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
	}
	want(t, "founding", second(ann.FoundAnew(ctx(t), o.id, members)), core.KindRefused, seal.ErrFork)
	if _, read := room.members.head(); read {
		t.Error("the ghost's statements are followed")
	}
	want(t, "sending", sendBriefly(t, room), core.KindRefused, seal.ErrFork)
	if g.made() {
		t.Error("a key was made")
	}
}

// TestBackdatedRecordOfAGhost: the node shows a ghost's founding and a record of the ghost's
// that is old by its own time, and hides the box that would show that its link is false. That
// boxes of its time are deleted proves nothing of a maker whom only the founding calls a member.
func TestBackdatedRecordOfAGhost(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	isAt(t, must[*Room](t)(o.bob.Room(ctx(t), o.id)), 1)
	ok(t, o.bob.Close())
	g := newFoundingNode(t)
	bob := g.open(o.bobFiles)
	m := g.found(t, o.id, bob.User())
	old := core.MillisOf(time.Now().Add(-31 * 24 * time.Hour))
	second1 := g.key(t, seal.RecordConfig{Room: o.id, Epoch: 2, At: old, Prev: record(o.key), Chain: m}, bob.ownKey())
	third := g.key(t, seal.RecordConfig{Room: o.id, Epoch: 3, At: core.MillisOf(time.Now()), PrevKey: second1.Key, Chain: m}, bob.ownKey())
	g.hidden = 1
	g.at(m, third.Record, second1.Record)
	want(t, "opening the room", second(bob.TrustFounder(ctx(t), o.id, g.user())), core.KindRefused, ErrUnlinked) // somebody was misled
}

// TestMemberMakesNoKeyForAGhost: the node shows a member of an older room the founding of a
// ghost, and the ghost in its list. The member's client follows nothing of it, and neither
// makes a key nor gives one: the next record would be sealed to the ghost.
func TestMemberMakesNoKeyForAGhost(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	ok(t, o.bob.Close())
	g := newFoundingNode(t)
	bob := g.open(o.bobFiles)
	room := must[*Room](t)(bob.Room(ctx(t), o.id))
	isAt(t, room, 1)
	told := eventsOf(t, bob)
	g.found(t, o.id, bob.User())
	room.wake()
	if f := awaitEvent(t, told, func(Founded) bool { return true }); f.By != g.user() || f.Members != 2 || f.Trusted {
		t.Errorf("%+v", f)
	}
	awaitEvent(t, told, func(e Suspicion) bool { return errors.Is(e.Err, ErrFounder) })
	err := room.Send(ctx(t), []byte("for ann alone"))
	want(t, "sending", err, core.KindRefused, ErrFounder)
	var e *core.Error
	if !errors.As(err, &e) || !strings.Contains(e.Text, string(g.user())) || !strings.Contains(e.Next, "Client.TrustFounder") {
		t.Errorf("who has founded the room, and what to do: %+v", e)
	}
	want(t, "a new key", room.Rekey(ctx(t)), core.KindRefused, ErrFounder)
	want(t, "an invitation", room.Invite(ctx(t), g.user(), ""), core.KindRefused, ErrFounder)
	want(t, "giving the key", runJob(t, room, func(ctx context.Context, w *reconciler) error { return w.giveKey(ctx, g.user()) }), core.KindRefused, ErrFounder)
	if _, read := room.members.head(); read || room.view.Load().signed || g.made() {
		t.Errorf("the ghost's statements are followed: %v, saved: %v, a key was made: %v", read, room.view.Load().signed, g.made())
	}
}

// TestNewDeviceAndAFalseFounding: a new device of a member of a room that has a chain is shown
// a founding anew by a ghost, with a key of the ghost's. It follows nothing of it, and has no
// key to send by.
func TestNewDeviceAndAFalseFounding(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	g := newFoundingNode(t)
	files := p.bobFiles
	files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	ok(t, p.bob.Close())
	bob := g.open(files)
	m := g.found(t, p.room.ID(), bob.User())
	made := g.key(t, seal.RecordConfig{Room: p.room.ID(), Epoch: 7, At: core.MillisOf(time.Now()), Chain: m}, bob.ownKey())
	g.at(m, made.Record)
	told := eventsOf(t, bob)
	want(t, "opening the room", second(bob.Room(ctx(t), p.room.ID())), core.KindRefused, ErrFounder)
	if f := awaitEvent(t, told, func(Founded) bool { return true }); f.By != g.user() || f.Trusted {
		t.Errorf("%+v", f)
	}
	want(t, "opening the room of somebody else", second(bob.TrustFounder(ctx(t), p.room.ID(), p.ann.User())), core.KindRefused, ErrFounder)
	g.lie(func(l *lyingAPI) { l.room, l.founding, l.epochs, l.members = nil, nil, nil, nil })
	g.mu.Lock()
	clear(g.keyOf)
	g.mu.Unlock()
	must[*Room](t)(bob.Room(ctx(t), p.room.ID())) // an honest node's statements have bob's own among them
}

// TestProofOfAnInvitationIsNoFounding: an admin of an older room invites somebody, with a founding
// of their own in the place of the proof. The node refuses it, and the owner founds the room.
func TestProofOfAnInvitationIsNoFounding(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	mallory := newTestUser(t, o.cluster, core.RoleMember).open()
	x := newTestUser(t, o.cluster, core.RoleMember)
	must[core.Member](t)(sendRetrying(ctx(t), o.ann, idempotent, func(ctx context.Context) (core.Member, error) {
		return o.ann.api.Invite(ctx, o.id, mallory.User(), core.MemberAdmin, nil)
	}))
	must[*Room](t)(mallory.Accept(ctx(t), o.id))
	snapshot := must[[]byte](t)(seal.MakeSnapshot(o.id, true, map[core.UserID]core.MemberRole{mallory.User(): core.MemberOwner, o.bob.User(): core.MemberMember}))
	m := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: o.id, By: mallory.id, At: 1, Encrypted: true, Snapshot: snapshot}))
	st := must[seal.Statement](t)(seal.VerifyStatement(o.id, m.Statements(0)[0]))
	proof := seal.AppendProof(seal.AppendState(nil, snapshot), st)
	if _, err := mallory.api.Invite(ctx(t), o.id, x.id, "", proof); core.KindOf(err) != core.KindInvalid {
		t.Errorf("the invitation: %v", err)
	}
	if room, err := o.ann.Room(ctx(t), o.id); err != nil {
		t.Errorf("the owner cannot open the room: %v", err)
	} else if _, err := o.ann.FoundAnew(ctx(t), o.id, o.known(t, room)); err != nil {
		t.Errorf("the owner cannot found the room: %v; room: %v", err, room.Err())
	}
	info, err := o.bob.api.Room(ctx(t), o.id)
	if err == nil && info.Chain != nil && info.Chain.Hash == st.Hash {
		t.Error("the honest node shows bob the founding of mallory, an admin")
	}
}
