package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// chainOf is a copy of the chain that a client has followed.
func chainOf(t *testing.T, r *Room) (m *seal.Membership) {
	t.Helper()
	r.members.use(func(own *seal.Membership) {
		var all [][]byte
		for _, b := range own.Statements(0) {
			all = append(all, slices.Clone(b))
		}
		m = must[*seal.Membership](t)(seal.ReadMembership(seal.MembershipSource{Room: r.id, Statements: all}))
		before := seal.Hash{}
		for i, b := range all {
			s := must[seal.Statement](t)(seal.VerifyStatement(r.id, b))
			if s.Seq != uint64(i) || s.Prev != before {
				t.Fatalf("%s does not follow the one before", s)
			}
			before = s.Hash
		}
	})
	return m
}

// add signs a statement and appends it to a copy of the chain.
func add(t *testing.T, m *seal.Membership, cfg seal.StatementConfig) []byte {
	t.Helper()
	s := must[seal.Statement](t)(m.Sign(cfg))
	must[seal.Statement](t)(m.Append(s.Bytes()))
	return s.Bytes()
}

// TestAdversariesInAClient: a node shows bob statements that are signed and do not belong
// there. His client follows none of them, names the fault, sends nothing while it lasts,
// and goes on once the node is honest again.
func TestAdversariesInAClient(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	dan, eve := newTestUser(t, p.cluster, core.RoleMember).open(), newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, dan)
	ok(t, p.room.SetRole(ctx(t), dan.User(), core.MemberAdmin))
	ok(t, p.bobs.fetchStatements(ctx(t)))
	admin := chainOf(t, p.bobs) // dan is an admin
	ok(t, p.room.SetRole(ctx(t), dan.User(), core.MemberMember))
	ok(t, p.bobs.fetchStatements(ctx(t)))
	invite := func(by *Client) seal.StatementConfig {
		return seal.StatementConfig{Kind: seal.StatementInvite, By: by.id, Subject: eve.User(), Role: core.MemberMember}
	}
	for _, c := range []struct {
		name string
		next func(t *testing.T, m *seal.Membership) [][]byte // instead of what comes after bob's head
		want seal.Fault
	}{
		{"replayed", func(_ *testing.T, m *seal.Membership) [][]byte {
			return [][]byte{m.Statements(1)[0], m.Statements(2)[0]}
		}, seal.ErrGap},
		{"a demoted admin invites", func(t *testing.T, _ *seal.Membership) [][]byte {
			return [][]byte{must[seal.Statement](t)(admin.Sign(invite(dan))).Bytes()}
		}, seal.ErrFork},
		{"forked", func(t *testing.T, _ *seal.Membership) [][]byte { // after another statement than the one that bob has
			other := must[*seal.Membership](t)(seal.ReadMembership(seal.MembershipSource{Room: p.room.id, Statements: admin.Statements(0)}))
			add(t, other, invite(p.ann))
			return [][]byte{add(t, other, seal.StatementConfig{Kind: seal.StatementRemove, By: p.ann.id, Subject: eve.User()})}
		}, seal.ErrFork},
		{"reordered", func(t *testing.T, m *seal.Membership) [][]byte {
			first, second := add(t, m, invite(p.ann)), add(t, m, seal.StatementConfig{Kind: seal.StatementRemove, By: p.ann.id, Subject: eve.User()})
			return [][]byte{second, first}
		}, seal.ErrGap},
		{"dropped", func(t *testing.T, m *seal.Membership) [][]byte {
			add(t, m, invite(p.ann))
			return [][]byte{add(t, m, seal.StatementConfig{Kind: seal.StatementRemove, By: p.ann.id, Subject: eve.User()})}
		}, seal.ErrGap},
		{"a removed member signs on", func(t *testing.T, m *seal.Membership) [][]byte {
			other := chainOf(t, p.bobs)
			left := add(t, m, seal.StatementConfig{Kind: seal.StatementRemove, By: p.ann.id, Subject: dan.User()})
			return [][]byte{left, add(t, other, seal.StatementConfig{Kind: seal.StatementLeave, By: dan.id})}
		}, seal.ErrFork},
		{"an invitation accepted twice", func(t *testing.T, m *seal.Membership) [][]byte {
			invitation := add(t, m, invite(p.ann))
			st := must[seal.Statement](t)(seal.VerifyStatement(p.room.id, invitation))
			answer := func() []byte {
				epoch, record := m.Epoch()
				return must[seal.Statement](t)(seal.SignAnswer(seal.AnswerConfig{Invitation: st, Head: m.Head(), Epoch: epoch, Record: record, Accept: true, By: eve.id})).Bytes()
			}
			first := answer()
			must[seal.Statement](t)(m.Append(first))
			return [][]byte{invitation, first, answer()}
		}, seal.ErrRight},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := p.bobs.members.head()
			next := c.next(t, chainOf(t, p.bobs))
			p.liar.lie(func(l *lyingAPI) {
				l.room = func(r *control.RoomInfo) { r.Chain.Seq, r.Chain.Hash = before.Seq+uint64(len(next)), seal.Hash{1} }
				l.statements = func(req control.StatementsRequest, out *control.Statements) {
					if req.From > before.Seq {
						out.Statements, out.Head.Seq = next[min(uint64(len(next)), req.From-before.Seq-1):], before.Seq+uint64(len(next))
					}
				}
			})
			p.caught(t, c.want)
			p.bobs.members.use(func(m *seal.Membership) {
				if m.Role(eve.User()) != "" && c.want != seal.ErrRight {
					t.Error("eve is a member")
				}
			})
			p.liar.lie(func(l *lyingAPI) { l.room, l.statements = nil, nil })
			if after, _ := p.bobs.members.head(); after != before {
				return // the last case: earlier statements are true, and the node does not have the false one
			}
			p.bobs.wake()
			nodetest.Wait(t, wait, p.bobs.Err)
			ok(t, p.bobs.Send(ctx(t), []byte("in order")))
		})
	}
}

// TestTwoOwnersRemoveEachOtherAtOnce: one of them stays, and the room goes on.
func TestTwoOwnersRemoveEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	join(t, p.room, cid)
	cids := must[*Room](t)(cid.Room(ctx(t), p.room.ID()))
	owner := func(*seal.Membership) ([]seal.StatementConfig, error) {
		return []seal.StatementConfig{{Kind: seal.StatementRole, Subject: p.bob.User(), Role: core.MemberOwner}}, nil
	}
	ok(t, p.room.appendSigned(ctx(t), owner))
	ok(t, p.bobs.fetchStatements(ctx(t)))
	var both sync.WaitGroup
	errs := make([]error, 2)
	both.Go(func() { errs[0] = p.room.Remove(ctx(t), p.bob.User()) })
	both.Go(func() { errs[1] = p.bobs.Remove(ctx(t), p.ann.User()) })
	both.Wait()
	nodetest.Wait(t, wait, func() error {
		if err := cids.fetchStatements(ctx(t)); err != nil {
			return err
		}
		a, _ := cids.members.role(p.ann.User())
		b, _ := cids.members.role(p.bob.User())
		if (a == core.MemberOwner) == (b == core.MemberOwner) {
			return core.Errorf(core.KindFailed, "ann is %q, bob is %q, after %v and %v", a, b, errs[0], errs[1])
		}
		return nil
	})
	stays, out := p.room, p.bobs
	if role, _ := cids.members.role(p.bob.User()); role != "" {
		stays, out = p.bobs, p.room
	}
	nodetest.Wait(t, wait, func() error {
		out.wake()
		if !errors.Is(out.Err(), ErrNotMember) {
			return core.Errorf(core.KindFailed, "the one who is out: %v", out.Err())
		}
		return nil
	})
	heard := cids.Chan(t.Context())
	ok(t, stays.Send(ctx(t), []byte("we go on")))
	receiveText(t, heard, "we go on")
}

// TestAcceptedTwice: two calls accept one invitation at once. One statement counts.
func TestAcceptedTwice(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	before, _ := p.room.members.head()
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		both.Go(func() { _, errs[i] = cid.Accept(ctx(t), p.room.ID()) })
	}
	both.Wait()
	if errs[0] != nil && errs[1] != nil {
		t.Fatalf("neither counts: %v, %v", errs[0], errs[1])
	}
	ok(t, p.room.fetchStatements(ctx(t)))
	if after, _ := p.room.members.head(); after.Seq != before.Seq+1 {
		t.Errorf("%d statements have come", after.Seq-before.Seq)
	}
}

// TestOlderClientInASignedRoom: a member's program of the release before, which does not
// sign, is told by the node which client it takes. It changes nothing, and no member
// acts on a request for a key that it would send.
func TestOlderClientInASignedRoom(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	older, id := p.bob.api, p.room.ID() // bob's other program
	ghost := newTestUser(t, p.cluster, core.RoleMember).open()
	key := p.bobs.key(t)
	made := must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
		Room: id, Epoch: key.Record().Epoch + 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: []seal.KEMKey{p.bob.ownKey(), p.ann.ownKey()},
		By: p.bob.id, At: 1, Reason: seal.ReasonAsked, PrevKey: key,
	}))
	for what, err := range map[string]error{
		"an invitation": second(older.Invite(ctx(t), id, ghost.User(), "", nil)),
		"a departure":   second(older.Leave(ctx(t), id)),
		"a record":      second(older.Rekey(ctx(t), made.Record, made.Keys)),
	} {
		if want(t, what, err, core.KindRefused, nil); core.AsError(err).Next == "" {
			t.Errorf("%s: no next step", what)
		}
	}
	heard := p.bobs.Chan(t.Context())
	ok(t, p.room.Send(ctx(t), []byte("as before")))
	receiveText(t, heard, "as before")
	if info := must[control.RoomInfo](t)(p.ann.api.Room(ctx(t), id)); info.Room.Epoch != 2 || info.Members != 2 {
		t.Errorf("%+v", info)
	}
}

// TestFoundALargeRoom: a room of 10,000 members of a legacy database is founded anew.
func TestFoundALargeRoom(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	const size = 10_000
	ann := seededUser(t, "ann")
	s := core.Snapshot{Rooms: []core.Room{{ID: "large", Owner: ann.id, Encrypted: true, Rec: core.LegacyRec, State: core.RoomActive, Created: 1}}}
	for i := range size {
		user, role := ann.id, core.MemberOwner
		if i > 0 {
			user, role = core.UserID(nodetest.Identity(t).Public()), core.MemberMember
		}
		s.Users = append(s.Users, core.User{ID: user, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
		s.Members = append(s.Members, core.Member{Room: "large", User: user, Role: role, State: core.MemberActive, Joined: 1})
	}
	s.Sort()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: s})
	n.WaitServing(core.BackendSQLite, 0)
	ann.cfg.Servers = []string{n.URL(0)}
	a := ann.open()
	room := must[*Room](t)(a.Room(ctx(t), "large"))
	members := must[[]control.Member](t)(room.Members(ctx(t)))
	must[*Room](t)(a.FoundAnew(ctx(t), "large", members))
	ok(t, room.Send(ctx(t), []byte("all of you")))
	if all := must[[]control.Member](t)(room.Members(ctx(t))); len(all) != size {
		t.Errorf("%d members", len(all))
	}
}

// branch is one history that a node keeps.
type branch [][]byte

// branchingNode keeps every history that was ever signed, and shows each client one of them.
type branchingNode struct {
	mu       sync.Mutex
	branches []branch
	views    map[core.UserID]int // which of them a client is shown
	upto     map[core.UserID]int // and how much of it
}

func (n *branchingNode) view(user core.UserID) branch {
	b := n.branches[n.views[user]]
	return b[:min(len(b), max(1, n.upto[user]))]
}

func (n *branchingNode) head(t *testing.T, room core.RoomID, user core.UserID) control.ChainHead {
	b := n.view(user)
	s := must[seal.Statement](t)(seal.VerifyStatement(room, b[len(b)-1]))
	return control.ChainHead{MembershipHead: seal.MembershipHead{Seq: s.Seq, Hash: s.Hash}, Epoch: s.Epoch, Record: s.Record}
}

// append continues the history that its signer is shown, or begins another one there. It is
// a conflict, as with an honest node, if it does not follow what its signer is shown.
func (n *branchingNode) append(t *testing.T, room core.RoomID, user core.UserID, signed [][]byte, fork bool) (control.ChainHead, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	view := slices.Clone(n.view(user))
	first := must[seal.Statement](t)(seal.VerifyStatement(room, signed[0]))
	if head := n.head(t, room, user); first.Prev != head.Hash {
		return head, core.Errorf(core.KindConflict, "the head is statement %d", head.Seq)
	}
	if at := n.views[user]; !fork && len(n.branches[at]) == len(view) {
		n.branches[at] = append(view, signed...)
	} else {
		n.branches = append(n.branches, append(view, signed...))
		n.views[user] = len(n.branches) - 1
	}
	n.upto[user] = len(view) + len(signed)
	return n.head(t, room, user), nil
}

// TestClientsAndANodeThatBranches: real clients sign at random, and the node keeps every
// history, and shows each client one of them, cut off where it likes. Each client has one valid
// chain from the founding; and of two clients one has a prefix of the other's, or the first
// statement across is a fork with its proof.
func TestClientsAndANodeThatBranches(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	ok(t, p.bobs.fetchStatements(ctx(t)))
	id := p.room.ID()
	node := &branchingNode{views: map[core.UserID]int{}, upto: map[core.UserID]int{}}
	node.branches = []branch{chainOf(t, p.bobs).Statements(0)}
	ok(t, p.ann.Close())
	annsLiar := &lyingAPI{}
	ann := p.annFiles.open(between(annsLiar))
	anns := must[*Room](t)(ann.Room(ctx(t), id))
	rooms := map[*Room]*lyingAPI{anns: annsLiar, p.bobs: p.liar}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 17))
	for r, l := range rooms {
		me := r.c.me
		node.upto[me] = len(node.branches[0])
		l.lie(func(l *lyingAPI) {
			l.room = func(info *control.RoomInfo) {
				node.mu.Lock()
				defer node.mu.Unlock()
				h := node.head(t, id, me)
				info.Chain = &h
			}
			l.statements = func(req control.StatementsRequest, out *control.Statements) {
				node.mu.Lock()
				defer node.mu.Unlock()
				view := node.view(me)
				out.Statements, out.Head, out.First, out.State = view[min(req.From, uint64(len(view))):], node.head(t, id, me), req.From, nil
			}
			l.append = func(signed [][]byte) (control.ChainHead, error) {
				return node.append(t, id, me, signed, draw.IntN(2) == 0)
			}
		})
	}
	strangers := []core.UserID{newTestUser(t, p.cluster, core.RoleMember).id, newTestUser(t, p.cluster, core.RoleMember).id}
	for range 200 {
		r := []*Room{anns, p.bobs}[draw.IntN(2)]
		before, _ := r.members.head()
		switch draw.IntN(3) {
		case 0:
			_ = r.appendSigned(ctx(t), invitationPlan(id, strangers[draw.IntN(2)], core.MemberMember))
		case 1:
			var had bool
			_ = r.appendSigned(ctx(t), removalPlan(id, strangers[draw.IntN(2)], &had))
		default:
			node.mu.Lock()
			node.views[r.c.me] = draw.IntN(len(node.branches))
			node.upto[r.c.me] = 1 + draw.IntN(len(node.branches[node.views[r.c.me]])+3)
			node.mu.Unlock()
		}
		_ = runJob(t, r, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
		if after, _ := r.members.head(); after.Seq < before.Seq {
			t.Fatalf("%s went back from %d to %d", r.c.me.Short(), before.Seq, after.Seq)
		}
	}
	a, b := chainOf(t, anns), chainOf(t, p.bobs) // each is read again from its founding
	t.Logf("%d histories; ann has followed %d statements, bob %d", len(node.branches), a.Head().Seq, b.Head().Seq)
	if len(node.branches) < 2 {
		t.Error("the node had one history only")
	}
	short, long := a, b
	if short.Head().Seq > long.Head().Seq {
		short, long = long, short
	}
	var err error
	for _, st := range short.Statements(0) {
		if _, err = long.Append(st); err != nil {
			break
		}
	}
	if proof := new(seal.ForkProof); err != nil && (!errors.Is(err, seal.ErrFork) || !errors.As(err, &proof) || proof.Check() != nil) {
		t.Errorf("neither a prefix nor a fork: %v", err)
	}
	for r := range rooms {
		nodetest.Wait(t, wait, func() error {
			head, _ := r.members.head()
			if saved := must[roomState](t)(r.c.dir.room(id)).Members; saved == nil || saved.Head != head {
				return core.Errorf(core.KindFailed, "%s has followed %+v, and on disk is %+v", r.c.me.Short(), head, saved)
			}
			return nil
		})
	}
}
