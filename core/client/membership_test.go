package client

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
	"unibus/core/store/sqlite"
)

// TestGhosts: somebody who has the node's file makes a user a member of an encrypted
// room of two others. The ghost is given no key, neither when it asks nor when a new one
// is made, and what it says is not read.
func TestGhosts(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ghost := newTestUser(t, p.cluster, core.RoleAdmin).open()
	file := sqlite.New(sqlite.Config{Path: p.cluster.Configs[0].DB})
	ok(t, file.Open(ctx(t)))
	ok(t, file.PutMember(ctx(t), core.Member{Room: p.room.ID(), User: ghost.User(), Role: core.MemberAdmin, State: core.MemberActive, Joined: 1}))
	ok(t, file.Close())
	nodetest.Wait(t, wait, func() error { // the node calls it an admin of the room
		m, err := sendRetrying(ctx(t), ghost, readOnly, func(ctx context.Context) (control.Member, error) {
			return ghost.api.Member(ctx, p.room.ID(), ghost.User(), false)
		})
		if err == nil && m.Role != core.MemberAdmin {
			err = core.Errorf(core.KindFailed, "its role is %s", m.Role)
		}
		return err
	})
	want(t, "the ghost opens the room as a client", second(ghost.Room(ctx(t), p.room.ID())), core.KindRefused, nil)
	heard, events := p.bobs.Chan(t.Context()), eventsOf(t, p.ann)
	subject := auth.RoomSubject(p.room.ID(), string(ghost.User()))
	asked := func() error { return errors.Join(ghost.nc.Publish(subject, keyRequestText()), ghost.nc.Flush()) }
	told := make(chan struct{})
	go func() {
		defer close(told)
		for e := range events {
			if s, is := e.(Suspicion); is && errors.Is(s.Err, seal.ErrRight) {
				return
			}
		}
	}()
	nodetest.Wait(t, wait, func() error {
		select {
		case <-told:
			return nil
		default:
			return errors.Join(asked(), core.Errorf(core.KindFailed, "ann has not told of the ghost"))
		}
	})
	ok(t, p.room.Rekey(ctx(t)))
	p.at(t, 3)
	ok(t, p.bobs.Rekey(ctx(t)))
	isAt(t, p.room, 4)
	for e := range core.Epoch(5) {
		want(t, "a box of the ghost's", boxOf(t, ghost, p.room.ID(), e), core.KindNotFound, nil)
	}
	ok(t, errors.Join(ghost.nc.Publish(subject, []byte("boo")), ghost.nc.Flush()))
	if d := await(t, "the ghost's message", heard); !errors.Is(d.Err, ErrNotMember) || d.Sender != ghost.User() {
		t.Errorf("the ghost's message came as %+v", d)
	}
	ok(t, p.room.Send(ctx(t), []byte("between us")))
	receiveText(t, heard, "between us")
	want(t, "an unsigned invitation by the ghost", second(sendRetrying(ctx(t), ghost, idempotent, func(ctx context.Context) (core.Member, error) {
		return ghost.api.Invite(ctx, p.room.ID(), p.bob.User(), "", nil)
	})), core.KindRefused, nil)
}

// boxOf says why a user has no box of an epoch. The user's session may be renewed meanwhile.
func boxOf(t *testing.T, c *Client, room core.RoomID, e core.Epoch) error {
	t.Helper()
	return second(sendRetrying(ctx(t), c, readOnly, func(ctx context.Context) (control.Key, error) { return c.api.Key(ctx, room, e) }))
}

// TestLiesAboutTheChain: each lie of a node about the statements is detected, with the
// error that names it, and nothing is sent while it lasts.
func TestLiesAboutTheChain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for name, c := range map[string]struct {
		lie  func(t *testing.T, p *pair)
		want seal.Fault
	}{
		"no chain": {func(_ *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Chain = nil } })
		}, seal.ErrRollback},
		"an older head": {func(_ *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Chain.Seq-- } })
		}, seal.ErrRollback},
		"another head": {func(_ *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Chain.Hash[0] ^= 1 } })
		}, seal.ErrFork},
		"statements are withheld": {func(t *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.chain = func(s *control.Statements) { s.Statements = nil } })
			inviteStranger(t, p)
		}, seal.ErrGap},
		"an altered statement": {func(t *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) {
				l.chain = func(s *control.Statements) {
					if len(s.Statements) == 0 {
						return
					}
					s.Statements[0] = bytes.Clone(s.Statements[0])
					s.Statements[0][len(s.Statements[0])-1] ^= 1
				}
			})
			inviteStranger(t, p)
		}, seal.ErrStatement},
		"a ghost's statement": {func(t *testing.T, p *pair) {
			ghost := nodetest.Identity(t)
			var head seal.MembershipHead
			p.bobs.members.use(func(m *seal.Membership) { head = m.Head() })
			invitation := must[seal.Statement](t)(must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: p.room.ID(), By: p.ann.id, Encrypted: true})).
				Sign(seal.StatementConfig{Kind: seal.StatementInvite, By: p.ann.id, Subject: core.UserID(ghost.Public()), Role: core.MemberMember}))
			s := must[seal.Statement](t)(seal.SignAnswer(seal.AnswerConfig{Invitation: invitation, Head: head, Accept: true, By: ghost, Epoch: 2, Record: p.bobs.key(t).Record().Hash}))
			p.liar.lie(func(l *lyingAPI) {
				l.chain = func(out *control.Statements) { out.Statements, out.Head.Seq = [][]byte{s.Bytes()}, s.Seq }
				l.room = func(r *control.RoomInfo) { r.Chain.Seq, r.Chain.Hash = s.Seq, s.Hash }
			})
		}, seal.ErrRight},
	} {
		t.Run(name, func(t *testing.T) {
			c.lie(t, p)
			p.caught(t, c.want)
			want(t, "signing in spite of it", p.bobs.Remove(ctx(t), p.ann.User()), core.KindOf(p.bobs.Err()), nil)
			p.liar.lie(func(l *lyingAPI) { l.room, l.chain = nil, nil })
			heard := p.room.Chan(t.Context())
			p.bobs.wake()
			nodetest.Wait(t, wait, p.bobs.Err)
			ok(t, p.bobs.Send(ctx(t), []byte("in order")))
			receiveText(t, heard, "in order")
		})
	}
}

// inviteStranger appends a statement to the room's chain.
func inviteStranger(t *testing.T, p *pair) {
	t.Helper()
	ok(t, p.room.Invite(ctx(t), newTestUser(t, p.cluster, core.RoleMember).id, ""))
}

// TestForkOfTheMembers: a node shows bob another statement of ann's than the one that
// the others have. The proof holds both, and bob stays with what he has followed.
func TestForkOfTheMembers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	var forked seal.Statement
	p.bobs.members.use(func(m *seal.Membership) {
		forked = must[seal.Statement](t)(m.Sign(seal.StatementConfig{Kind: seal.StatementCheckpoint, By: p.ann.id}))
	})
	inviteStranger(t, p) // the others' statement of that number
	p.bobs.wake()
	nodetest.Wait(t, wait, func() error {
		if h, _ := p.bobs.members.head(); h.Seq != forked.Seq {
			return core.Errorf(core.KindFailed, "bob is at %d", h.Seq)
		}
		return nil
	})
	before, _ := p.bobs.members.head()
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) {
			r.Chain.MembershipHead = seal.MembershipHead{Seq: forked.Seq, Hash: forked.Hash}
		}
		l.chain = func(s *control.Statements) {
			if uint64(len(s.Statements)) > forked.Seq {
				s.Statements[forked.Seq] = forked.Bytes()
			}
		}
	})
	p.bobs.wake()
	e := awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrFork) })
	proof := new(seal.ForkProof)
	if !errors.As(e.Err, &proof) || !bytes.Equal(proof.Shown, forked.Bytes()) {
		t.Fatalf("no proof: %v", e.Err)
	}
	ok(t, proof.Check())
	if after, _ := p.bobs.members.head(); after != before {
		t.Errorf("bob left his branch: %+v", after)
	}
	want(t, "sending", p.bobs.Send(ctx(t), []byte("x")), core.KindRefused, seal.ErrFork)
}

// TestMembersAreKnownAfterARestart: another process of the user believes nothing that
// does not lead through what the one before has followed; and with the directory lost,
// nothing without a statement of its own.
func TestMembersAreKnownAfterARestart(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	inviteStranger(t, p)
	p.bobs.wake()
	nodetest.Wait(t, wait, func() error {
		if m := must[roomState](t)(p.bob.dir.room(p.room.ID())).Members; m == nil || m.Head.Seq != 3 {
			return core.Errorf(core.KindFailed, "on disk is %+v", m)
		}
		return nil
	})
	id := p.room.ID()
	ok(t, p.bob.Close())
	l := &lyingAPI{}
	again := p.bobFiles.open(between(l))
	l.lie(func(l *lyingAPI) {
		l.chain = func(s *control.Statements) { s.Statements, s.Head.Seq = s.Statements[:2], 1 }
		l.room = func(r *control.RoomInfo) { r.Chain.Seq = 1 }
	})
	want(t, "a node that forgot statements", second(again.Room(ctx(t), id)), core.KindRefused, seal.ErrRollback)
	l.lie(func(l *lyingAPI) { l.room, l.chain = func(r *control.RoomInfo) { r.Chain = nil }, nil })
	want(t, "a node that forgot all", second(again.Room(ctx(t), id)), core.KindRefused, seal.ErrRollback)
	l.lie(func(l *lyingAPI) { l.room = nil })
	room := must[*Room](t)(again.Room(ctx(t), id))
	ok(t, room.Send(ctx(t), []byte("back")))
	ok(t, again.Close())

	p.bobFiles.cfg.Dir = t.TempDir()
	lost := p.bobFiles.open(between(l))
	ghost := nodetest.Identity(t)
	made := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: id, By: ghost, Encrypted: true}))
	l.lie(func(l *lyingAPI) {
		l.chain = func(s *control.Statements) { s.Statements, s.Head.Seq = made.Statements(0), 0 }
		l.room = func(r *control.RoomInfo) { r.Chain = &control.ChainHead{MembershipHead: made.Head()} }
	})
	want(t, "a chain without a statement of bob's", second(lost.Room(ctx(t), id)), core.KindRefused, seal.ErrStatement)
	l.lie(func(l *lyingAPI) { l.room, l.chain = nil, nil })
	must[*Room](t)(lost.Room(ctx(t), id))
}

// TestLiesAboutInvitations: an answer is signed only for an invitation that its inviter
// has signed for this user, this room and this role.
func TestLiesAboutInvitations(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := &lyingAPI{}
	cid := newTestUser(t, p.cluster, core.RoleMember).open(between(l))
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	for name, c := range map[string]struct {
		lie  func(i *control.Invitation)
		want seal.Fault
	}{
		"another inviter": {func(i *control.Invitation) { i.By = p.bob.User() }, seal.ErrStatement},
		"another role":    {func(i *control.Invitation) { i.Role = core.MemberAdmin }, seal.ErrStatement},
		"another statement": {func(i *control.Invitation) {
			p.room.members.use(func(m *seal.Membership) { i.Statement = m.Statements(1)[0] })
		}, seal.ErrStatement},
		"an altered one": {func(i *control.Invitation) { i.Statement[len(i.Statement)-1] ^= 1 }, seal.ErrStatement},
	} {
		l.lie(func(l *lyingAPI) { l.invited = c.lie })
		_, err := cid.Accept(ctx(t), p.room.ID())
		want(t, name, err, core.KindRefused, c.want)
		want(t, name+", declined", cid.Decline(ctx(t), p.room.ID()), core.KindRefused, c.want)
	}
	l.lie(func(l *lyingAPI) { l.invited = nil })
	must[*Room](t)(cid.Accept(ctx(t), p.room.ID()))
	dot := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), dot.User(), core.MemberAdmin))
	ok(t, dot.Decline(ctx(t), p.room.ID()))
	want(t, "after a refusal", second(dot.Accept(ctx(t), p.room.ID())), core.KindNotFound, nil)
}

// TestManySignAtOnce: two who invite and those who accept, all at the same time. Each
// signs again until it counts, and all have the same chain afterwards.
func TestManySignAtOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	var joiners []*Client
	for range 6 {
		joiners = append(joiners, newTestUser(t, p.cluster, core.RoleMember).open())
	}
	var all sync.WaitGroup
	errs := make([]error, len(joiners))
	for i, c := range joiners {
		all.Go(func() {
			by := p.room
			if i%2 == 0 {
				by = p.bobs
			}
			if errs[i] = by.Invite(ctx(t), c.User(), ""); errs[i] == nil {
				_, errs[i] = c.Accept(ctx(t), p.room.ID())
			}
		})
	}
	all.Wait()
	ok(t, errors.Join(errs...))
	awaitKeys(t, p.room)
	for _, r := range []*Room{p.room, p.bobs} {
		ok(t, r.fetchStatements(ctx(t)))
		if h, _ := r.members.head(); h.Seq != 3+2*uint64(len(joiners)) {
			t.Errorf("%s has followed %d statements", r.c.me.Short(), h.Seq)
		}
	}
}

// TestMemberLeavesWhileAKeyIsMade: a record is made for the members of the moment, also
// if one of those who were read has left since.
func TestMemberLeavesWhileAKeyIsMade(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	made := must[seal.Rekeyed](t)(p.bobs.sealRecord(seal.RecordConfig{
		Room: p.room.ID(), Epoch: 3, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{p.bob.ownKey(), cid.ownKey()},
		By: p.bob.id, At: 1, Reason: seal.ReasonAge, PrevKey: p.bobs.key(t),
	}))
	if len(made.Keys) != 1 || made.Keys[0].User != p.bob.User() {
		t.Errorf("%d boxes were made", len(made.Keys))
	}
}

// TestServersRemoveOnly: a member whom a user-admin removes gets no key although the
// statements lead to it, and the members may invite it again.
func TestServersRemoveOnly(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	chief := newTestUser(t, p.cluster, core.RoleAdmin).open()
	if _, err := chief.api.Remove(ctx(t), p.room.ID(), p.bob.User()); err != nil {
		t.Fatal(err)
	}
	isAt(t, p.room, 3)
	if role, _ := p.room.members.role(p.bob.User()); role == "" {
		t.Error("the members have not signed it, and it is a statement")
	}
	want(t, "bob's box", boxOf(t, p.bob, p.room.ID(), 3), core.KindRefused, nil)
	want(t, "inviting whom the servers alone have removed", p.room.Invite(ctx(t), p.bob.User(), ""), core.KindExists, nil)
	ok(t, p.room.Remove(ctx(t), p.bob.User()))
	join(t, p.room, p.bob)
	awaitKeys(t, p.room)
	bobs := must[*Room](t)(p.bob.RoomTrusting(ctx(t), p.room.ID(), p.ann.User()))
	isAt(t, bobs, 4) // his removal is a statement now, and a key was due after it
	want(t, "inviting a member", p.room.Invite(ctx(t), p.bob.User(), ""), core.KindExists, nil)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberOwner))
	if role, _ := p.room.members.role(p.ann.User()); role != core.MemberAdmin {
		t.Errorf("ann is %s", role)
	}
	ok(t, p.room.Leave(ctx(t)))
	if info := must[control.RoomInfo](t)(sendRetrying(ctx(t), p.bob, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return p.bob.api.Room(ctx, p.room.ID()) })); info.Room.Owner != p.bob.User() || info.Members != 1 {
		t.Errorf("%+v", info)
	}
}

// TestManyInvitationsAtOnce: a program that invites many people at once loses none of them
// to its own other calls, and signs each invitation once.
func TestManyInvitationsAtOnce(t *testing.T) {
	t.Parallel()
	c := startNode(t)
	var sent atomic.Int64
	node := &lyingAPI{}
	node.append = func(signed [][]byte) (control.ChainHead, error) {
		sent.Add(int64(len(signed)))
		for range 5 { // the others have time to sign over the same head
			_ = must[control.RoomInfo](t)(node.controlAPI.Room(ctx(t), "many"))
		}
		return node.controlAPI.AppendStatements(t.Context(), "many", signed...)
	}
	a := newTestUser(t, c, core.RoleMember).open(between(node))
	room := must[*Room](t)(a.CreateRoom(ctx(t), NewRoom{ID: "many", Encrypted: true}))
	errs := make([]error, 2*signTries)
	var all sync.WaitGroup
	for i := range errs {
		guest := newTestUser(t, c, core.RoleMember)
		all.Go(func() { errs[i] = room.Invite(ctx(t), guest.id, "") })
	}
	all.Wait()
	ok(t, errors.Join(errs...))
	if h, _ := room.members.head(); h.Seq != uint64(len(errs)) || sent.Load() != int64(len(errs)) {
		t.Errorf("%d statements were sent, and the chain has %d after the founding, for %d invitations", sent.Load(), h.Seq, len(errs))
	}
}
