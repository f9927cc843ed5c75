package client

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// olderRoom is ann's encrypted room as clients of the release before made it: its members
// sign nothing, and bob and a ghost are members by the node's word. All three have the key
// of its first record.
type olderRoom struct {
	cluster            *nodetest.Cluster
	ann, bob, ghost    *Client
	annFiles, bobFiles testUser
	liar               *lyingAPI // between bob and the node
	id                 core.RoomID
	key                *seal.EpochKey
}

func newOlderRoom(t *testing.T) *olderRoom {
	t.Helper()
	n := startNode(t)
	o := &olderRoom{cluster: n, annFiles: newTestUser(t, n, core.RoleMember), bobFiles: newTestUser(t, n, core.RoleMember), id: control.NewRoomID(), liar: &lyingAPI{}}
	o.ann, o.bob, o.ghost = o.annFiles.open(), o.bobFiles.open(between(o.liar)), newTestUser(t, n, core.RoleMember).open()
	must[core.Room](t)(o.ann.api.CreateRoom(ctx(t), control.CreateRequest{ID: string(o.id), Encrypted: true}))
	for _, c := range []*Client{o.bob, o.ghost} {
		must[core.Member](t)(sendRetrying(ctx(t), o.ann, idempotent, func(ctx context.Context) (core.Member, error) { return o.ann.api.Invite(ctx, o.id, c.User(), "", nil) }))
		must[*Room](t)(c.Accept(ctx(t), o.id))
	}
	o.rekey(t, o.ann, o.ann, o.bob, o.ghost)
	return o
}

// rekey makes a key as clients of the release before did: its record names no members.
func (o *olderRoom) rekey(t *testing.T, by *Client, to ...*Client) {
	t.Helper()
	cfg := seal.RecordConfig{Room: o.id, Epoch: 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(), By: by.id, At: core.MillisOf(time.Now()), Reason: seal.ReasonOther, PrevKey: o.key}
	if o.key != nil {
		cfg.Epoch = o.key.Record().Epoch + 1
	}
	for _, c := range to {
		cfg.Members = append(cfg.Members, c.ownKey())
	}
	made := must[seal.Rekeyed](t)(seal.MakeRecord(cfg))
	must[core.Room](t)(sendRetrying(ctx(t), by, idempotent, func(ctx context.Context) (core.Room, error) { return by.api.Rekey(ctx, made.Record, made.Keys) }))
	o.key = made.Key
}

// known are the members whom ann knows.
func (o *olderRoom) known(t *testing.T, room *Room) []control.Member {
	t.Helper()
	all := must[[]control.Member](t)(room.Members(ctx(t)))
	return slices.DeleteFunc(all, func(m control.Member) bool { return m.User == o.ghost.User() })
}

// TestFoundAnew: an older room is as weak as before until its owner founds it anew: then
// nothing is sent there, and no key given. The member whom the owner leaves out is removed,
// has no key any more and is not read. The others follow the new key by the old one's link.
func TestFoundAnew(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	room, bobs := must[*Room](t)(o.ann.Room(ctx(t), o.id)), must[*Room](t)(o.bob.Room(ctx(t), o.id))
	isAt(t, room, 1)
	isAt(t, bobs, 1)
	for _, r := range []*Room{room, bobs} {
		want(t, "sending before", r.Send(ctx(t), []byte("x")), core.KindRefused, ErrNotFounded)
		want(t, "giving the key before", runJob(t, r, func(ctx context.Context, w *reconciler) error { return w.giveKey(ctx, o.ghost.User()) }), core.KindRefused, ErrNotFounded)
	}
	members := o.known(t, room)
	want(t, "a member twice", second(o.ann.FoundAnew(ctx(t), o.id, append(members, members[0]))), core.KindInvalid, nil)
	stranger := control.Member{Member: core.Member{Room: o.id, User: newTestUser(t, o.cluster, core.RoleMember).id, Role: core.MemberMember}}
	want(t, "a member whom the node does not know", second(o.ann.FoundAnew(ctx(t), o.id, append(members, stranger))), core.KindConflict, nil)
	stranger.Room = "other"
	want(t, "another room's member", second(o.ann.FoundAnew(ctx(t), o.id, append(members, stranger))), core.KindInvalid, nil)

	told := eventsOf(t, o.bob)
	heard := bobs.Chan(t.Context())
	must[*Room](t)(o.ann.FoundAnew(ctx(t), o.id, members))
	if f := awaitEvent(t, told, func(Founded) bool { return true }); f.By != o.ann.User() || f.Members != 2 || f.Trusted {
		t.Errorf("%+v", f)
	}
	must[*Room](t)(o.bob.TrustFounder(ctx(t), o.id, o.ann.User()))
	if f := awaitEvent(t, told, func(Founded) bool { return true }); f.By != o.ann.User() || f.Members != 2 || !f.Trusted {
		t.Errorf("%+v", f)
	}
	want(t, "naming another founder", second(o.bob.TrustFounder(ctx(t), o.id, o.ghost.User())), core.KindConflict, nil)
	want(t, "naming nobody", second(o.bob.TrustFounder(ctx(t), o.id, "")), core.KindInvalid, nil)
	ok(t, room.Send(ctx(t), []byte("between us")))
	m := receiveText(t, heard, "between us")
	if m.Epoch < 2 || bobs.key(t).Record().Members == nil {
		t.Errorf("read in epoch %d", m.Epoch)
	}
	want(t, "the ghost's box", boxOf(t, o.ghost, o.id, m.Epoch), core.KindRefused, nil)
	if info := must[control.RoomInfo](t)(o.ann.api.Room(ctx(t), o.id)); info.Members != 2 || info.MustRekey != 0 || info.Chain == nil {
		t.Errorf("%+v", info)
	}
	ok(t, room.Invite(ctx(t), o.ghost.User(), "")) // an owner may change its mind
}

// TestFoundedWhileAway: a member who was away follows the records of before, which name no
// members, up to the first one that the members stand behind. Nothing is sent before that one.
func TestFoundedWhileAway(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	bobs := must[*Room](t)(o.bob.Room(ctx(t), o.id))
	isAt(t, bobs, 1)
	ok(t, o.bob.Close())
	o.rekey(t, o.ann, o.ann, o.bob, o.ghost)
	room := must[*Room](t)(o.ann.Room(ctx(t), o.id))
	isAt(t, room, 2)
	must[*Room](t)(o.ann.FoundAnew(ctx(t), o.id, o.known(t, room)))

	o.liar = &lyingAPI{}
	o.liar.lie(func(l *lyingAPI) { // the node is at the last record of before
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec = 2, o.key.Record().Rec }
		l.rekeys = func() error { return core.Errorf(core.KindFailed, "not now") }
	})
	o.bob = o.bobFiles.open(between(o.liar))
	want(t, "opening a room that ann has founded", second(o.bob.Room(ctx(t), o.id)), core.KindRefused, ErrFounder)
	bobs = must[*Room](t)(o.bob.TrustFounder(ctx(t), o.id, o.ann.User()))
	want(t, "sending by a key of before", sendBriefly(t, bobs), core.KindUnavailable, ErrRekeyDue)
	want(t, "giving a key of before", runJob(t, bobs, func(ctx context.Context, w *reconciler) error { return w.giveKey(ctx, o.ann.User()) }), core.KindUnavailable, ErrRekeyDue)
	o.liar.lie(func(l *lyingAPI) { l.room, l.rekeys = nil, nil })
	heard := room.Chan(t.Context())
	bobs.wake()
	ok(t, bobs.Send(ctx(t), []byte("back")))
	receiveText(t, heard, "back")
	next := must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
		Room: o.id, Epoch: bobs.view.Load().head.Epoch + 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{o.ann.ownKey(), o.bob.ownKey()},
		By: o.ann.id, At: 1, Reason: seal.ReasonOther, PrevKey: bobs.key(t),
	}))
	o.liar.lie(func(l *lyingAPI) { // and never again one of before
		l.epochs = func(e *control.Epochs) { e.Records, e.Next = []core.EpochRecord{next.Record}, nil }
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec = next.Record.Epoch, next.Record.Rec }
	})
	bobs.wake()
	nodetest.Wait(t, wait, func() error {
		if !errors.Is(bobs.Err(), seal.ErrRollback) {
			return core.Errorf(core.KindFailed, "a record without members: %v", bobs.Err())
		}
		return nil
	})
}

// TestFalseFoundings: a node that founds an older room by a ghost gives the ghost nothing
// that the others say: their clients follow nothing of it, and if somebody is misled and
// names the ghost, no record of the ghost's links to the key that they know. A user who
// has joined a room by an answer takes no founding on trust.
func TestFalseFoundings(t *testing.T) {
	t.Parallel()
	o := newOlderRoom(t)
	bobs := must[*Room](t)(o.bob.Room(ctx(t), o.id))
	isAt(t, bobs, 1)
	ghost := nodetest.Identity(t)
	people := map[core.UserID]core.MemberRole{core.UserID(ghost.Public()): core.MemberOwner, o.bob.User(): core.MemberMember}
	snapshot := must[[]byte](t)(seal.MakeSnapshot(o.id, true, people))
	false1 := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: o.id, By: ghost, Encrypted: true, Snapshot: snapshot}))
	kem := must[*seal.KEM](t)(seal.NewKEM())
	own := must[seal.KEMKey](t)(seal.ParseKEMKey(core.UserID(ghost.Public()), must[[]byte](t)(kem.Publish(ghost, 1))))
	made := must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
		Room: o.id, Epoch: 2, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{own, o.bob.ownKey()}, By: ghost, At: 1, Reason: seal.ReasonOther, Prev: record(o.key), Chain: false1,
	}))
	told := eventsOf(t, o.bob)
	o.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) {
			r.Chain = &control.ChainHead{MembershipHead: false1.Head()}
			r.Room.Epoch, r.Room.Rec = 2, made.Record.Rec
		}
		l.founding = func() (control.Statements, error) {
			return control.Statements{Statements: false1.Statements(0), State: snapshot, Head: control.ChainHead{MembershipHead: false1.Head()}}, nil
		}
		l.epochs = func(e *control.Epochs) { e.Records, e.Next = []core.EpochRecord{made.Record}, nil }
	})
	bobs.wake()
	if f := awaitEvent(t, told, func(Founded) bool { return true }); f.By != core.UserID(ghost.Public()) || f.Trusted {
		t.Errorf("%+v", f)
	}
	awaitEvent(t, told, func(e Suspicion) bool { return errors.Is(e.Err, ErrFounder) })
	want(t, "sending in a room of the ghost's", bobs.Send(ctx(t), []byte("x")), core.KindRefused, ErrFounder)
	want(t, "naming somebody else", second(o.bob.TrustFounder(ctx(t), o.id, o.ann.User())), core.KindRefused, ErrFounder)
	want(t, "naming the ghost", second(o.bob.TrustFounder(ctx(t), o.id, core.UserID(ghost.Public()))), core.KindRefused, seal.ErrLink)
	awaitEvent(t, told, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrLink) })
	want(t, "sending to the ghost", bobs.Send(ctx(t), []byte("x")), core.KindRefused, seal.ErrLink)

	p := newPair(t)
	id := p.room.ID()
	cid := newTestUser(t, p.cluster, core.RoleMember)
	l := &lyingAPI{}
	c := cid.open(between(l))
	ok(t, p.room.Invite(ctx(t), c.User(), ""))
	people = map[core.UserID]core.MemberRole{core.UserID(ghost.Public()): core.MemberOwner, c.User(): core.MemberMember}
	snapshot = must[[]byte](t)(seal.MakeSnapshot(id, true, people))
	false2 := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: id, By: ghost, Encrypted: true, Snapshot: snapshot}))
	l.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Chain = &control.ChainHead{MembershipHead: false2.Head()} }
		l.founding = func() (control.Statements, error) {
			return control.Statements{Statements: false2.Statements(0), State: snapshot, Head: control.ChainHead{MembershipHead: false2.Head()}}, nil
		}
	})
	want(t, "joining by an answer", second(c.Accept(ctx(t), id)), core.KindRefused, seal.ErrStatement)
}
