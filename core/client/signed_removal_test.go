package client

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestRemovedMemberIsNotRead: bob has followed the statements, and the node withholds the event
// of the removal and the key of after it.
func TestRemovedMemberIsNotRead(t *testing.T) {
	t.Parallel()
	p := newPair(t, func(bob *Client) {
		bob.withhold = func(m *nats.Msg) bool {
			e, err := control.ParseEvent(m)
			return err == nil && e.Kind == control.EventMember && !e.Joined
		}
	})
	id := p.room.ID()
	mallory := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), mallory.User(), ""))
	theirs := must[*Room](t)(mallory.Accept(ctx(t), id))
	isAt(t, theirs, 2)
	heard := p.bobs.Chan(t.Context())
	ok(t, theirs.Send(ctx(t), []byte("as a member")))
	receiveText(t, heard, "as a member")
	s := must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: theirs.key(t), By: mallory.id}))
	rec := p.bobs.Info().Room.Rec
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec = 2, rec }
		l.rekeys = func() error { return core.Errorf(core.KindFailed, "not now") }
	})
	ok(t, p.room.Remove(ctx(t), mallory.User()))
	nodetest.Wait(t, wait, func() error {
		p.bobs.wake()
		if role, _ := p.bobs.members.role(mallory.User()); role != "" {
			return core.Errorf(core.KindConflict, "bob has not followed the removal")
		}
		return nil
	})
	data := must[[]byte](t)(s.Seal([]byte("after the removal"), core.MillisOf(time.Now())))
	p.bobs.do(func(l *roomLoop) {
		l.receiveOne(&nats.Msg{Subject: auth.RoomSubject(id, string(mallory.User())), Data: data})
	})
	select {
	case d := <-heard:
		want(t, "a message of a removed member", d.Err, core.KindRefused, ErrNotMember)
	case <-time.After(wait):
		t.Error("nothing was said of the message")
	}
}

// hidingNode shows statements only to those who ask for the list of members.
type hidingNode struct {
	*lyingAPI
	fails, listing atomic.Bool
}

func (n *hidingNode) Members(ctx context.Context, id core.RoomID, keys bool) ([]control.Member, error) {
	n.listing.Store(true)
	return n.lyingAPI.Members(ctx, id, keys)
}

func (n *hidingNode) Statements(ctx context.Context, req control.StatementsRequest) (control.Statements, error) {
	if n.fails.Load() && !n.listing.Load() {
		return control.Statements{}, core.Errorf(core.KindFailed, "not now")
	}
	return n.lyingAPI.Statements(ctx, req)
}

// TestKnownRemovalStopsSending: bob knows of a removal by signed statements, and the node says
// that the room is at an older epoch and no key is due.
func TestKnownRemovalStopsSending(t *testing.T) {
	t.Parallel()
	node, n := &hidingNode{lyingAPI: &lyingAPI{}}, startNode(t)
	ann, mallory := newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember).open()
	bob := newTestUser(t, n, core.RoleMember).open(func(c *Client) {
		c.wrap = func(p controlAPI) controlAPI { node.controlAPI = p; return node }
		c.withhold = func(m *nats.Msg) bool { _, err := control.ParseEvent(m); return err == nil }
	})
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	id := room.ID()
	for _, c := range []*Client{bob, mallory} {
		ok(t, room.Invite(ctx(t), c.User(), ""))
		must[*Room](t)(c.Accept(ctx(t), id))
	}
	ok(t, room.Rekey(ctx(t)))
	bobs := must[*Room](t)(bob.Room(ctx(t), id))
	bobs.wake()
	isAt(t, bobs, 2)
	must[[]control.Member](t)(bobs.Members(ctx(t)))
	node.listing.Store(false)
	node.fails.Store(true)
	node.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) {
			node.listing.Store(false)
			r.Room.Epoch, r.MustRekey = 1, 0
			r.Chain.Seq += 7
		}
		l.rekeys = func() error { return core.Errorf(core.KindFailed, "not now") }
	})
	bobs.wake()
	nodetest.Wait(t, wait, func() error {
		if bobs.Info().Room.Epoch != 1 {
			return core.Errorf(core.KindConflict, "bob has not read the lie")
		}
		return nil
	})
	ok(t, room.Remove(ctx(t), mallory.User()))
	nodetest.Wait(t, wait, func() error {
		_, _ = bobs.Members(ctx(t))
		if role, _ := bobs.members.role(mallory.User()); role != "" {
			return core.Errorf(core.KindConflict, "bob does not know of the removal")
		}
		return nil
	})
	for range 3 {
		if err := sendBriefly(t, bobs); err == nil {
			t.Fatal("a message was sent under a key that a removed member has")
		}
	}
}

// TestInvitedUserCannotEndARoom: an answer that names another record of the room's epoch would
// be a proof of two histories to every member. The node takes none.
func TestInvitedUserCannotEndARoom(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	c := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), c.User(), ""))
	ok(t, p.room.Rekey(ctx(t)))
	p.at(t, 3)
	i := must[[]control.Invitation](t)(c.api.Invitations(ctx(t)))[0]
	st := must[seal.Statement](t)(c.verifyInvitation(i))
	for _, epoch := range []core.Epoch{2, 3} {
		answer := must[seal.Statement](t)(seal.SignAnswer(seal.AnswerConfig{
			Invitation: st, Head: i.Chain.MembershipHead, Epoch: epoch, Record: seal.Hash{1, 2, 3}, By: c.id, At: core.MillisOf(time.Now()),
		}))
		_, err := c.api.AppendStatements(ctx(t), id, answer.Bytes())
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "names another record") {
			t.Errorf("an answer with a false record of epoch %d: %v", epoch, err)
		}
	}
	ok(t, p.ann.Close())
	must[*Room](t)(p.annFiles.open().Room(ctx(t), id))
}

// TestLeaveIsSigned: a node says that the room is archived, and that the departure is
// done. The member signs it nevertheless.
func TestLeaveIsSigned(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.bob.api = &leavingAPI{p.liar}
	p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.State = core.RoomArchived } })
	ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) }))
	ok(t, p.bobs.Leave(ctx(t)))
	_ = must[[]control.Member](t)(p.room.Members(ctx(t)))
	if role, _ := p.room.members.role(p.bob.User()); role != "" {
		t.Errorf("Leave says that it is done, and bob is %q by the statements: keys are sealed to him as the node likes", role)
	}
}

// leavingAPI says that a user has left, and does nothing.
type leavingAPI struct{ *lyingAPI }

func (a *leavingAPI) Leave(context.Context, core.RoomID) (core.Member, error) {
	return core.Member{}, nil
}

// TestUnsignedLeaveIsTold: nothing is signed in an archived room. A member, and the owner,
// leave it without a statement, and are told that.
func TestUnsignedLeaveIsTold(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.room.Archive(ctx(t)))
	anns := eventsOf(t, p.ann)
	for _, c := range []struct {
		room *Room
		told <-chan Event
	}{{p.bobs, p.events}, {p.room, anns}} {
		ok(t, c.room.Leave(ctx(t)))
		awaitEvent(t, c.told, func(e MembersDiffer) bool {
			return e.Room == p.room.ID() && slices.Equal(e.Removed, []core.UserID{c.room.c.me})
		})
	}
}

// TestInviteRemovesNobody: ann invites bob by mistake again, and a node says that he is no
// member. He stays an admin: only Remove removes.
func TestInviteRemovesNobody(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	l := &lyingAPI{controlAPI: p.ann.api, members: func([]control.Member) []control.Member { return nil }}
	p.ann.api = l
	err := p.room.Invite(ctx(t), p.bob.User(), "")
	want(t, "inviting a member whom the node denies", err, core.KindExists, nil)
	if e := core.AsError(err); e == nil || !strings.Contains(e.Next, "Room.Remove") {
		t.Errorf("the next step: %+v", e)
	}
	if role, _ := p.room.members.role(p.bob.User()); role != core.MemberAdmin {
		t.Errorf("Invite (%v) has signed that bob, an admin, is removed: on the word of the node", err)
	}
}
