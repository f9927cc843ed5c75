package client

import (
	"context"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestRefusedRecordIsNotKnown: a record that bob has refused (its prev is not the head) is not the one that
// the true record is compared with later.
func TestRefusedRecordIsNotKnown(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	mallory := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), mallory.User(), ""))
	theirs := must[*Room](t)(mallory.Accept(ctx(t), id))
	ok(t, p.room.Rekey(ctx(t)))
	isAt(t, theirs, 3)
	p.bobs.wake()
	p.at(t, 3)
	rows := must[control.Epochs](t)(p.bob.api.Epochs(ctx(t), control.EpochsRequest{Room: string(id)}))
	second2 := must[seal.Record](t)(seal.VerifyRecord(rows.Records[1]))
	second2.Epoch = 3 // a false record before
	var cfg seal.RecordConfig
	ok(t, runJob(t, theirs, func(_ context.Context, w *reconciler) error {
		w.room.members.use(func(m *seal.Membership) {
			cfg = seal.RecordConfig{Room: id, Epoch: 4, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{mallory.ownKey()}, By: mallory.id, At: 1, Reason: seal.ReasonOther, Prev: &second2, Chain: m}
		})
		return nil
	}))
	made := must[seal.Rekeyed](t)(seal.MakeRecord(cfg))
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec = 4, made.Record.Rec }
		l.epochs = func(e *control.Epochs) { e.Records, e.Next = []core.EpochRecord{made.Record}, nil }
	})
	err := runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
	want(t, "the lie", err, core.KindRefused, seal.ErrChain)
	p.liar.lie(func(l *lyingAPI) { l.room, l.epochs = nil, nil })
	ok(t, p.room.Rekey(ctx(t)))
	for range 3 {
		err = runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
	}
	if err != nil {
		t.Errorf("the nodes are honest again, and the room stays ended for this process: %v", err)
	}
}

// TestRefusedRecordDoesNotEndADueRekey: ann and bob have made epoch 3 at once, and the node has shown each
// their own. ann removes mallory and makes epoch 4 upon hers. The node shows bob the removal, then ann's record, which bob
// refuses, and then says that all is as before.
func TestRefusedRecordDoesNotEndADueRekey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	mallory := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), mallory.User(), ""))
	theirs := must[*Room](t)(mallory.Accept(ctx(t), id))
	isAt(t, theirs, 2)
	var annsChain *seal.Membership
	isAt(t, p.room, 2)
	second2 := p.room.key(t)
	makeKey := func(epoch core.Epoch, prev *seal.EpochKey, to ...*Client) (made seal.Rekeyed) {
		t.Helper()
		cfg := seal.RecordConfig{Room: id, Epoch: epoch, Rec: seal.NewRec(), Key: seal.NewRoomKey(), By: p.ann.id, At: 1, Reason: seal.ReasonAsked, PrevKey: prev, Chain: annsChain}
		for _, c := range to {
			cfg.Members = append(cfg.Members, c.ownKey())
		}
		return must[seal.Rekeyed](t)(seal.MakeRecord(cfg))
	}
	chainNow := func() {
		all := must[[][]byte](t)(p.room.statementsFrom(ctx(t), 0))
		annsChain = must[*seal.Membership](t)(seal.ReadMembership(seal.MembershipSource{Room: id, Statements: all}))
	}
	chainNow()
	annsThird := makeKey(3, second2, p.ann, p.bob, mallory) // honest, shown to ann alone
	p.bobs.wake()
	ok(t, p.bobs.Rekey(ctx(t))) // bob's epoch 3
	p.at(t, 3)
	isAt(t, theirs, 3) // mallory has its key
	as := must[control.RoomInfo](t)(p.bob.api.Room(ctx(t), id))
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec, r.MustRekey = 3, as.Room.Rec, 0 }
		l.rekeys = func() error { return core.Errorf(core.KindFailed, "not now") }
	})
	ok(t, p.room.Remove(ctx(t), mallory.User()))
	nodetest.Wait(t, wait, func() error {
		p.bobs.wake()
		if !p.bobs.view.Load().departed {
			return core.Errorf(core.KindConflict, "bob does not know of the removal")
		}
		return nil
	})
	if err := sendBriefly(t, p.bobs); err == nil {
		t.Fatal("sent")
	}
	chainNow()
	annsFourth := makeKey(4, annsThird.Key, p.ann, p.bob)
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec, r.MustRekey = 4, annsFourth.Record.Rec, 0 }
		l.epochs = func(e *control.Epochs) { e.Records, e.Next = []core.EpochRecord{annsFourth.Record}, nil }
	})
	err := runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
	want(t, "ann's record", err, core.KindRefused, seal.ErrChain)
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec, r.MustRekey = 3, as.Room.Rec, 0 }
		l.epochs = nil
	})
	for range 3 {
		err = runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
	}
	ok(t, err)
	role, _ := p.bobs.members.role(mallory.User())
	if err := sendBriefly(t, p.bobs); err == nil {
		t.Errorf("bob knows that mallory was removed (%q) and sends in epoch %d, whose key mallory has", role, p.bobs.view.Load().sender.Record().Epoch)
	}
}
