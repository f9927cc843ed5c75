package client

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestNewDeviceIsShownAnOldChain: bob has a new directory. The node shows it the room as it was
// before mallory's removal, and mallory, who works with the node, gives the key of then. The
// device sends nothing, and gives and makes no key, until the room is shown as it is and its
// members are heard, or the number is compared.
func TestNewDeviceIsShownAnOldChain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	mallory, cid := newTestUser(t, p.cluster, core.RoleMember).open(), newTestUser(t, p.cluster, core.RoleMember).open()
	for _, c := range []*Client{mallory, cid} {
		ok(t, p.room.Invite(ctx(t), c.User(), ""))
		must[*Room](t)(c.Accept(ctx(t), id))
	}
	theirs := must[*Room](t)(mallory.Room(ctx(t), id))
	isAt(t, theirs, 2)
	key := theirs.key(t)
	old := must[control.RoomInfo](t)(mallory.api.Room(ctx(t), id))
	chain := must[[][]byte](t)(theirs.statementsFrom(ctx(t), 0))
	rows := must[control.Epochs](t)(mallory.api.Epochs(ctx(t), control.EpochsRequest{Room: string(id)}))
	ok(t, p.room.Remove(ctx(t), mallory.User()))
	ok(t, p.bob.Close())

	files := p.bobFiles
	files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	n := &keptAnswerNode{lyingAPI: &lyingAPI{}}
	n.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) {
			r.Room.Epoch, r.Room.Rec, r.MustRekey, r.Chain = 2, old.Room.Rec, 0, old.Chain
		}
		l.founding = func() (control.Statements, error) {
			return control.Statements{Statements: chain, Head: *old.Chain}, nil
		}
	})
	bob := files.open(func(c *Client) {
		c.wrap = func(a controlAPI) controlAPI { n.controlAPI = a; return n }
	})
	told := eventsOf(t, bob)
	box := must[core.SealedKey](t)(seal.MakeLateBox(seal.LateBoxConfig{Epoch: key, For: bob.ownKey(), By: mallory.id, At: core.MillisOf(time.Now())}))
	n.mu.Lock()
	n.key = &control.Key{Key: box, Record: &rows.Records[0]}
	n.mu.Unlock()
	nodetest.Wait(t, wait, func() error { // what ann has signed before is no news
		if r := must[seal.Record](t)(seal.VerifyRecord(rows.Records[0])); time.Since(r.Time.Time()) < witnessSlack+100*time.Millisecond {
			return core.Errorf(core.KindConflict, "the record is too young")
		}
		return nil
	})
	room := must[*Room](t)(bob.Room(ctx(t), id))
	isAt(t, room, 2)
	if e := awaitEvent(t, told, func(NewDevice) bool { return true }); e.Proven || e.Number.Seq != old.Chain.Seq || e.Number.Number == "" {
		t.Errorf("%+v", e)
	}
	want(t, "sending to mallory", sendBriefly(t, room), core.KindUnavailable, ErrUnproven)
	want(t, "giving mallory's key", runJob(t, room, func(ctx context.Context, w *reconciler) error { return w.giveKey(ctx, cid.User()) }), core.KindUnavailable, ErrUnproven)
	want(t, "a key for mallory", room.Rekey(ctx(t)), core.KindUnavailable, ErrUnproven)
	ok(t, room.Close())
	room = must[*Room](t)(bob.Room(ctx(t), id)) // it is known on disk
	isAt(t, room, 2)
	want(t, "sending to mallory later", sendBriefly(t, room), core.KindUnavailable, ErrUnproven)
	want(t, "comparing a number", room.ConfirmNumber(ctx(t), seal.RoomNumber{Seq: 1, Number: "1"}), core.KindRefused, ErrNumber)

	n.mu.Lock()
	n.key = nil
	n.mu.Unlock()
	n.lie(func(l *lyingAPI) { l.room, l.founding = nil, nil })
	room.wake()
	nodetest.Wait(t, wait, func() error {
		if head, _ := room.members.head(); head.Seq <= old.Chain.Seq {
			return core.Errorf(core.KindConflict, "the removal is not followed")
		}
		return nil
	})
	ok(t, room.ConfirmNumber(ctx(t), must[seal.RoomNumber](t)(p.room.SafetyNumber(ctx(t)))))
	awaitEvent(t, told, func(e NewDevice) bool { return e.Proven })
	ok(t, room.Send(ctx(t), []byte("to those who are here")))
}

// TestNewDeviceHearsMembers: a new device of a room with an honest node hears its members soon,
// because they are asked, and sends.
func TestNewDeviceHearsMembers(t *testing.T) {
	t.Parallel()
	p := newTrio(t)
	ok(t, p.bob.Close())
	files := p.bobFiles
	files.cfg.Dir = filepath.Join(t.TempDir(), "keys")
	bob := files.open()
	room := must[*Room](t)(bob.Room(ctx(t), p.room.ID()))
	heard := p.room.Chan(t.Context())
	ok(t, room.Send(ctx(t), []byte("here again")))
	receiveText(t, heard, "here again")
}
