package client

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
	"unibus/core/store/sqlite"
)

// awaitInvitation waits for the event of one state of a user's invitation to a room.
func awaitInvitation(t *testing.T, from <-chan Event, user core.UserID, state control.InvitationState) InvitationChanged {
	t.Helper()
	return awaitEvent(t, from, func(e InvitationChanged) bool { return e.User == user && e.State == state })
}

// TestInvitationEvents: the invited user, and the members of the room, are told that an
// invitation came, was accepted, declined and withdrawn; in a plain room the inviter.
func TestInvitationEvents(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	plain := must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{Name: "The lobby"}))
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	cids, anns := eventsOf(t, cid), eventsOf(t, p.ann)
	for _, room := range []*Room{p.room, plain} {
		all := []<-chan Event{cids, anns}
		if room == p.room {
			all = append(all, p.events)
		}
		told := func(state control.InvitationState) {
			t.Helper()
			for _, events := range all {
				e := awaitInvitation(t, events, cid.User(), state)
				if e.Room != room.ID() || e.Role != core.MemberMember && e.Role != "" {
					t.Errorf("%s: %+v", state, e)
				}
			}
		}
		ok(t, room.Invite(ctx(t), cid.User(), ""))
		told(control.InvitationPending)
		pending := must[[]Invitation](t)(cid.Invitations(ctx(t)))
		if len(pending) != 1 || pending[0].By != p.ann.User() || pending[0].Signed != (room == p.room) || pending[0].Encrypted != (room == p.room) {
			t.Errorf("%+v", pending)
		}
		ok(t, room.Remove(ctx(t), cid.User()))
		told(control.InvitationWithdrawn)
		want(t, "accepting what was withdrawn", second(cid.Accept(ctx(t), room.ID())), core.KindNotFound, nil)
		ok(t, room.Invite(ctx(t), cid.User(), ""))
		told(control.InvitationPending)
		ok(t, cid.Decline(ctx(t), room.ID()))
		told(control.InvitationDeclined)
		ok(t, room.Invite(ctx(t), cid.User(), ""))
		told(control.InvitationPending)
		must[*Room](t)(cid.Accept(ctx(t), room.ID()))
		told(control.InvitationAccepted)
	}
}

// TestMembersAreToldAfterARestart: a member's process that was down tells of accepted,
// declined and withdrawn invitations once it has read the statements again.
func TestMembersAreToldAfterARestart(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bob.Close())
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	ok(t, cid.Decline(ctx(t), p.room.ID()))
	again := p.bobFiles.open()
	events := eventsOf(t, again)
	must[*Room](t)(again.Room(ctx(t), p.room.ID()))
	awaitInvitation(t, events, cid.User(), control.InvitationPending)
	if e := awaitInvitation(t, events, cid.User(), control.InvitationDeclined); e.By != cid.User() || e.Room != p.room.ID() {
		t.Errorf("%+v", e)
	}
}

// TestInvitationIsSwapped: a node that puts an invitation of its own in the place of the
// one that the person has seen gets no answer to it.
func TestInvitationIsSwapped(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := &lyingAPI{}
	cid := newTestUser(t, p.cluster, core.RoleMember).open(between(l))
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	if pending := must[[]Invitation](t)(cid.Invitations(ctx(t))); len(pending) != 1 || pending[0].By != p.ann.User() {
		t.Fatalf("%+v", pending)
	}
	ghost := nodetest.Identity(t)
	made := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: p.room.ID(), By: ghost, Encrypted: true}))
	swapped := must[seal.Statement](t)(made.Sign(seal.StatementConfig{Kind: seal.StatementInvite, By: ghost, Subject: cid.User(), Role: core.MemberMember}))
	for name, lie := range map[string]func(*control.Invitation){
		"a ghost's": func(i *control.Invitation) {
			i.By, i.Statement, i.Chain = core.UserID(ghost.Public()), swapped.Bytes(), &control.ChainHead{MembershipHead: seal.MembershipHead{Seq: 1, Hash: swapped.Hash}}
		},
		"without a signature": func(i *control.Invitation) { i.Statement, i.Chain = nil, nil },
	} {
		l.lie(func(l *lyingAPI) { l.invited = lie })
		cid.invitations.wake() // seen in the background: the person has not
		want(t, name, second(cid.Accept(ctx(t), p.room.ID())), core.KindConflict, nil)
		want(t, name+", declined", cid.Decline(ctx(t), p.room.ID()), core.KindConflict, nil)
	}
	l.lie(func(l *lyingAPI) { l.invited = nil })
	must[*Room](t)(cid.Accept(ctx(t), p.room.ID()))
}

// TestPendingRoomStaysHidden: somebody who has the node's file makes a member of a user
// who has not accepted, or has declined. The user's client shows nothing of the room, and
// the others' clients give the user no key.
func TestPendingRoomStaysHidden(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	files := newTestUser(t, p.cluster, core.RoleMember)
	for _, c := range []struct {
		name   string
		answer func(*Client) error
		cause  error
	}{
		{"not answered", func(*Client) error { return nil }, seal.ErrStatement},
		{"declined", func(c *Client) error { return c.Decline(ctx(t), p.room.ID()) }, ErrNotMember},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok(t, p.room.Invite(ctx(t), files.id, ""))
			cid := files.open()
			ok(t, c.answer(cid))
			ok(t, cid.Close())
			setActive(t, p, files.id)
			cid = files.open() // another session has the room
			want(t, "opening the room", second(cid.Room(ctx(t), p.room.ID())), core.KindRefused, c.cause)
			subject := auth.RoomSubject(p.room.ID(), string(files.id))
			ok(t, errors.Join(cid.nc.Publish(subject, keyRequestText()), cid.nc.Flush()))
			awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrRight) }) // bob has looked
			ok(t, p.room.Rekey(ctx(t)))
			e, _ := p.room.Epoch()
			want(t, "a box", boxOf(t, cid, p.room.ID(), e), core.KindNotFound, nil)
			ok(t, cid.Close())
			p.bobs.do(func(l *roomLoop) { delete(l.members, files.id) })
			ok(t, runJob(t, p.bobs, func(_ context.Context, w *reconciler) error { clear(w.ghosts); return nil }))
		})
	}
}

// setActive writes an active member into the node's file.
func setActive(t *testing.T, p *pair, user core.UserID) {
	t.Helper()
	file := sqlite.New(sqlite.Config{Path: p.cluster.Configs[0].DB})
	ok(t, file.Open(ctx(t)))
	for _, m := range must[[]core.Member](t)(file.RoomMembers(ctx(t), p.room.ID())) {
		if m.User == user {
			m.State = core.MemberActive
			ok(t, file.PutMember(ctx(t), m))
		}
	}
	ok(t, file.Close())
}

// TestFalseInvitations: an invitation that contradicts itself is not shown, and is reported.
func TestFalseInvitations(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := &lyingAPI{}
	cid := newTestUser(t, p.cluster, core.RoleMember).open(between(l))
	events := eventsOf(t, cid)
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	awaitInvitation(t, events, cid.User(), control.InvitationPending)
	for name, lie := range map[string]func(*control.Invitation){
		"a role that is none":    func(i *control.Invitation) { i.Role = core.MemberOwner },
		"an inviter who is none": func(i *control.Invitation) { i.By, i.Statement = "ann\x1b[2J", nil },
		"a room that is none":    func(i *control.Invitation) { i.Room = "a.b" },
		"not encrypted":          func(i *control.Invitation) { i.Encrypted = false },
	} {
		l.lie(func(l *lyingAPI) { l.invited = lie })
		if all := must[[]Invitation](t)(cid.Invitations(ctx(t))); len(all) != 0 {
			t.Errorf("%s is shown: %+v", name, all)
		}
		awaitEvent(t, events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrStatement) })
	}
	long := "\x1b[2Jthe\u202elobby"
	l.lie(func(l *lyingAPI) { l.invited = func(i *control.Invitation) { i.Name = &long } })
	if all := must[[]Invitation](t)(cid.Invitations(ctx(t))); len(all) != 1 || all[0].Name != core.ShownName(long) || all[0].Name == long {
		t.Errorf("a name that draws on the screen: %+v", all)
	}
}

// TestInvitationThatEndsIsTold: an admin who has invited somebody is demoted, and an
// admin again. The members are told that the invitation has ended, and it is not accepted.
func TestInvitationThatEndsIsTold(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	told := eventsOf(t, cid)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	ok(t, p.bobs.Invite(ctx(t), cid.User(), ""))
	awaitInvitation(t, told, cid.User(), control.InvitationPending)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberMember))
	want(t, "while bob is no admin", second(cid.Accept(ctx(t), p.room.ID())), core.KindRefused, nil)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	awaitInvitation(t, told, cid.User(), control.InvitationWithdrawn)
	if e := awaitInvitation(t, p.events, cid.User(), control.InvitationWithdrawn); e.Inviter != p.bob.User() || e.By != p.ann.User() {
		t.Errorf("%+v", e)
	}
	want(t, "after", second(cid.Accept(ctx(t), p.room.ID())), core.KindNotFound, nil)
	ok(t, p.bobs.Invite(ctx(t), cid.User(), ""))
	must[[]Invitation](t)(cid.Invitations(ctx(t)))
	must[*Room](t)(cid.Accept(ctx(t), p.room.ID()))
}

// TestForgedInvitationEvent: a hint to bob's inbox (by a node; in the modes off and soft by
// any user) says that somebody has accepted an invitation, of which there is no statement, or
// that fits together nowhere. It is no event.
func TestForgedInvitationEvent(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	plain := must[*Room](t)(p.bob.CreateRoom(ctx(t), NewRoom{}))
	ghost := newTestUser(t, p.cluster, core.RoleMember).id
	true_ := control.InvitationEvent{V: 1, Room: plain.ID(), User: ghost, Role: core.MemberAdmin, State: control.InvitationAccepted, By: ghost}
	for _, change := range []func(e *control.InvitationEvent){
		func(e *control.InvitationEvent) { e.Room = p.room.ID() }, // encrypted
		func(e *control.InvitationEvent) { e.Room = "elsewhere" }, // not open: it may be encrypted
		func(e *control.InvitationEvent) { e.User = "ghost\x1b[2J" },
		func(e *control.InvitationEvent) { e.By = "nobody\x1b[2J" },
		func(e *control.InvitationEvent) { e.Role = "emperor" },
		func(e *control.InvitationEvent) { e.State = "lost" },
		func(*control.InvitationEvent) {}, // the only one that is told
	} {
		e := true_
		change(&e)
		p.bob.onInvitationEvent(&nats.Msg{Subject: control.InvitationSubject(p.bob.User()), Data: must[[]byte](t)(json.Marshal(e))})
	}
	got := awaitEvent(t, p.events, func(InvitationChanged) bool { return true })
	if want := (InvitationChanged{Room: plain.ID(), User: ghost, Inviter: p.bob.User(), Role: core.MemberAdmin, State: control.InvitationAccepted, By: ghost}); got != want {
		t.Errorf("%+q", got)
	}
}

// TestContradictoryInvitationsAreReportedOnce: each once while it is listed. A node that lists other rooms each time
// does not fill the memory of a client.
func TestContradictoryInvitationsAreReportedOnce(t *testing.T) {
	t.Parallel()
	c := newTestUser(t, startNode(t), core.RoleMember).open()
	events := eventsOf(t, c)
	wrong := errors.New("it contradicts itself")
	for _, rooms := range [][]core.RoomID{{"a"}, {"a"}, {"b"}, {"c"}, {"a"}} {
		listed := map[core.RoomID]error{}
		for _, room := range rooms {
			listed[room] = wrong
		}
		c.reportInvitations(listed)
		if n := len(c.invitations.contradictory); n != len(rooms) {
			t.Errorf("%d invitations are remembered, and %d are listed", n, len(rooms))
		}
	}
	for _, room := range []core.RoomID{"a", "b", "c", "a"} {
		if e := awaitEvent(t, events, func(Suspicion) bool { return true }); e.Room != room {
			t.Errorf("%s is reported, want %s", e.Room, room)
		}
	}
}
