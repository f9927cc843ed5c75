package client

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// rekeyWithBadBoxes has a member make a key as any member may, and seal something else than
// the key to one of the members.
func rekeyWithBadBoxes(t *testing.T, by *Room, victim core.UserID) {
	t.Helper()
	c := by.c
	made := makeRecordAs(t, by, seal.ReasonAsked)
	for i, k := range made.Keys {
		if k.User == victim {
			made.Keys[i].Box = bytes.Clone(k.Box)
			made.Keys[i].Box[100] ^= 1
		}
	}
	must[core.Room](t)(c.api.Rekey(ctx(t), made.Record, made.Keys))
}

// makeRecordAs makes the room's next key for all members, as a member whose program is its own.
func makeRecordAs(t *testing.T, by *Room, reason seal.Reason) (made seal.Rekeyed) {
	t.Helper()
	ok(t, runJob(t, by, func(ctx context.Context, w *reconciler) (err error) {
		if err = w.follow(ctx); err != nil {
			return err
		}
		made, err = w.makeRecord(ctx, w.room.Info().Room, reason)
		return err
	}))
	return made
}

// TestOwnerRemovesAMemberWhoSealsNothing: bob, a plain member, makes a key and seals something
// else to ann, the owner. Her client tells of it, and she can remove bob all the same: a member
// must not be able to keep everybody from removing it.
func TestOwnerRemovesAMemberWhoSealsNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	cids := must[*Room](t)(cid.Room(ctx(t), p.room.ID()))
	awaitKeys(t, p.room)
	told := eventsOf(t, p.ann)
	rekeyWithBadBoxes(t, p.bobs, p.ann.User())
	p.room.wake()
	awaitEvent(t, told, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrBox) })
	_ = p.room.Remove(ctx(t), p.bob.User()) // the key after it may be another member's to make
	ok(t, p.room.fetchStatements(ctx(t)))
	if role, _ := p.room.members.role(p.bob.User()); role != "" {
		t.Errorf("bob is still a %s: %v", role, p.room.Err())
	}
	nodetest.Wait(t, wait, func() error {
		cids.wake()
		if at, _ := cids.Epoch(); at < 4 {
			return core.Errorf(core.KindConflict, "cid is at epoch %d", at)
		}
		return nil
	})
	nodetest.Wait(t, wait, func() error { // nothing proves the link of the next key to ann: she decides
		p.room.wake()
		if err := p.room.Err(); !errors.Is(err, ErrUnlinked) {
			return core.Errorf(core.KindConflict, "ann's room: %v", err)
		}
		return nil
	})
	ok(t, p.room.Trust(ctx(t), cid.User()))
	heard := cids.Chan(t.Context())
	ok(t, p.room.Send(ctx(t), []byte("without bob")))
	receiveText(t, heard, "without bob")
}

// TestFalseBoxIsReplaced: a member whose box is false asks for another one, and an owner's
// replaces it, also after a restart.
func TestFalseBoxIsReplaced(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	malloryClient := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, malloryClient)
	mallory := must[*Room](t)(malloryClient.Room(ctx(t), p.room.ID()))
	awaitKeys(t, p.room)
	isAt(t, mallory, 2)
	ok(t, p.bob.Close())
	resume := stall(t, p.room)
	rekeyWithBadBoxes(t, mallory, p.bobFiles.id)
	bob := p.bobFiles.open()
	room := must[*Room](t)(bob.Room(ctx(t), p.room.ID()))
	want(t, "bob's room", room.Err(), core.KindRefused, seal.ErrBox)
	resume()
	heard := room.Chan(t.Context())
	isAt(t, room, 3)
	ok(t, p.room.Send(ctx(t), []byte("again")))
	receiveText(t, heard, "again")
}

// TestMemberWhoEndsARoomIsRemoved: bob stores a record that nobody can follow. Nothing is sent in
// the room any more, but ann's program, which was started again, opens it, ann removes bob, and
// cid leaves.
func TestMemberWhoEndsARoomIsRemoved(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cidFiles := newTestUser(t, p.cluster, core.RoleMember)
	cid := cidFiles.open()
	join(t, p.room, cid)
	must[*Room](t)(cid.Room(ctx(t), p.room.ID()))
	awaitKeys(t, p.room)
	ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) }))
	key := p.bobs.key(t)
	var made seal.Rekeyed
	p.bobs.members.use(func(m *seal.Membership) {
		made = must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
			Room: p.room.ID(), Epoch: key.Record().Epoch + 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(),
			Members: []seal.KEMKey{p.ann.ownKey(), p.bob.ownKey(), cid.ownKey()}, By: p.bob.id, At: 1, Reason: seal.ReasonOther, Prev: record(key), Chain: m,
		}))
	})
	ok(t, p.ann.Close())
	ok(t, cid.Close())
	must[core.Room](t)(p.bob.api.Rekey(ctx(t), made.Record, made.Keys))
	ann := p.annFiles.open()
	cid = cidFiles.open()
	room, cids := must[*Room](t)(ann.Room(ctx(t), p.room.ID())), must[*Room](t)(cid.Room(ctx(t), p.room.ID()))
	want(t, "sending", room.Send(ctx(t), []byte("x")), core.KindRefused, seal.ErrLink)
	want(t, "inviting", room.Invite(ctx(t), newID(t), ""), core.KindRefused, seal.ErrLink)
	_ = room.Remove(ctx(t), p.bob.User()) // no key can be made
	if role, _ := room.members.role(p.bob.User()); role != "" {
		t.Errorf("bob is still a %s", role)
	}
	ok(t, cids.Leave(ctx(t)))
}

// TestRequestStrandsNobody: bob has followed the present record and cannot open its box. A plain
// member, who may not replace the box, makes no new key for him: he could not follow it. It
// does for ann, the owner, whose box nobody may replace.
func TestRequestStrandsNobody(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	cids := must[*Room](t)(cid.Room(ctx(t), p.room.ID()))
	awaitKeys(t, p.room)
	isAt(t, cids, 2)
	ask := func(c *Client) {
		kem, has := c.ownKey(), cids.view.Load().head
		q := seal.KeyRequest{
			Room: cids.id, User: c.me, Time: core.MillisOf(time.Now()), Kind: seal.RequestKey, Epoch: has.Epoch, Record: has.Hash,
			KEMTime: kem.Time, KEMHash: kem.Hash,
		}
		cids.onHeartbeat(&nats.Msg{Subject: auth.HeartbeatSubject(cids.id, string(c.me)), Data: must[[]byte](t)(q.Sign(c.id))})
		settle(t, cids)
	}
	ask(p.bob)
	if at, _ := cids.Epoch(); at != 2 {
		t.Errorf("the room is at epoch %d", at)
	}
	ask(p.ann)
	isAt(t, cids, 3)
}
