package client

import (
	"context"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// keptAnswerNode keeps what cid signs, and shows cid a branch of the room.
type keptAnswerNode struct {
	*lyingAPI
	mu     sync.Mutex
	key    *control.Key
	refuse bool
	kept   []byte
}

func (n *keptAnswerNode) AppendStatements(ctx context.Context, id core.RoomID, signed ...[]byte) (control.ChainHead, error) {
	n.mu.Lock()
	refuse := n.refuse
	if refuse {
		n.kept = signed[0]
	}
	n.mu.Unlock()
	if refuse {
		return control.ChainHead{}, core.Errorf(core.KindRefused, "the invitation is not valid any more")
	}
	return n.lyingAPI.AppendStatements(ctx, id, signed...)
}

func (n *keptAnswerNode) Key(ctx context.Context, id core.RoomID, e core.Epoch) (control.Key, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.key != nil && n.key.Key.Epoch == e {
		return *n.key, nil
	}
	return n.lyingAPI.Key(ctx, id, e)
}

// TestChainHoldsTheAcceptedInvitation: mallory, an admin, invites cid. cid accepts, the
// node keeps the answer and says that it is refused. ann removes mallory, makes a new key, and
// invites cid. cid accepts that. The node shows the branch of mallory's invitation.
func TestChainHoldsTheAcceptedInvitation(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	mallory := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), mallory.User(), core.MemberAdmin))
	theirs := must[*Room](t)(mallory.Accept(ctx(t), id))
	ok(t, p.room.Rekey(ctx(t)))
	theirs.wake()
	isAt(t, theirs, 3)
	n := &keptAnswerNode{lyingAPI: &lyingAPI{}, refuse: true}
	cid := newTestUser(t, p.cluster, core.RoleMember).open(func(c *Client) {
		c.wrap = func(a controlAPI) controlAPI { n.controlAPI = a; return n }
	})
	ok(t, theirs.Invite(ctx(t), cid.User(), ""))
	must[[]Invitation](t)(cid.Invitations(ctx(t)))
	want(t, "the first", second(cid.Accept(ctx(t), id)), core.KindRefused, nil)
	branch := append(must[[][]byte](t)(theirs.statementsFrom(ctx(t), 0)), n.kept)
	old, key := theirs.Info(), theirs.key(t)
	rows := must[control.Epochs](t)(mallory.api.Epochs(ctx(t), control.EpochsRequest{Room: string(id)}))

	ok(t, p.room.Remove(ctx(t), mallory.User()))
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	all := must[[]Invitation](t)(cid.Invitations(ctx(t)))
	if len(all) != 1 || all[0].By != p.ann.User() || !all[0].Signed {
		t.Fatalf("%+v", all)
	}
	last := must[seal.Statement](t)(seal.VerifyStatement(id, n.kept))
	head := control.ChainHead{MembershipHead: seal.MembershipHead{Seq: last.Seq, Hash: last.Hash}, Epoch: last.Epoch, Record: last.Record}
	box := must[core.SealedKey](t)(seal.MakeLateBox(seal.LateBoxConfig{Epoch: key, For: cid.ownKey(), By: mallory.id, At: core.MillisOf(time.Now())}))
	n.mu.Lock()
	n.refuse, n.key = false, &control.Key{Key: box, Record: &rows.Records[0]}
	n.mu.Unlock()
	n.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) {
			r.Room.Epoch, r.Room.Rec, r.MustRekey, r.Chain = old.Room.Epoch, old.Room.Rec, 0, &head
		}
		l.founding = func() (control.Statements, error) {
			return control.Statements{Statements: branch, Head: head}, nil
		}
	})
	room, err := cid.Accept(ctx(t), id) // of ann
	if err != nil {
		return
	}
	role, _ := room.members.role(mallory.User())
	t.Errorf("the chain that is followed does not hold the invitation that was accepted last; mallory, who was removed, is %q in it", role)
	if err := room.Send(ctx(t), []byte("secret")); err == nil && room.view.Load().sender.Record().Hash == key.Record().Hash {
		t.Error("a message was sent under the key that mallory has")
	}
}

// statementsFrom are all statements that a node shows, from a number on.
func (r *Room) statementsFrom(ctx context.Context, from uint64) (all [][]byte, err error) {
	err = r.readStatements(ctx, control.StatementsRequest{Room: string(r.id), From: from}, func(page control.Statements) error {
		all = append(all, page.Statements...)
		return nil
	})
	return all, err
}

// TestAnswerInAnOpenRoomIsOnDisk: an accepted invitation is on disk before the answer is
// sent, also if the room is open, or was left and is being closed.
func TestAnswerInAnOpenRoomIsOnDisk(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	bob := newTestUser(t, n, core.RoleMember).open()
	room := must[*Room](t)(bob.CreateRoom(ctx(t), NewRoom{ID: "lobby"}))
	resume := stall(t, room)
	noted := func(statement byte) error {
		i := Invitation{Room: "lobby", Encrypted: true, Signed: true, statement: seal.Hash{statement}}
		err := bob.noteAnswer(i)
		if m := must[roomState](t)(bob.dir.room("lobby")); err == nil && (!m.Answered || m.Accepted != i.statement) {
			return core.Errorf(core.KindFailed, "on disk is %+v", m)
		}
		return err
	}
	ok(t, noted(1))
	room.end(closedError("room")) // the reconciler is not done yet
	closing := make(chan error, 1)
	go func() { closing <- noted(2) }()
	resume()
	ok(t, await(t, "the answer", closing))
}
