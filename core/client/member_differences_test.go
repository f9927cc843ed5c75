package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
	"unibus/core/store/sqlite"
)

// putRow writes a row into the node's file, as somebody does who has the node.
func putRow(t *testing.T, n *nodetest.Cluster, m core.Member) {
	t.Helper()
	file := sqlite.New(sqlite.Config{Path: n.Configs[0].DB})
	ok(t, file.Open(ctx(t)))
	ok(t, file.PutMember(ctx(t), m))
	ok(t, file.Close())
}

// TestMembersAreTheSigned: the list of members is what the members signed, in the roles
// that they gave. A ghost in the node's list is an error beside the list and an event, also
// before it says anything, and a member may take it away. A member whom the servers removed
// is shown as that.
func TestMembersAreTheSigned(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	told := eventsOf(t, p.ann)
	ghost := newTestUser(t, p.cluster, core.RoleMember).id
	all := must[[]control.Member](t)(p.room.Members(ctx(t)))
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			for i := range all {
				all[i].Role = core.MemberAdmin
			}
			return all
		}
	})
	for _, m := range must[[]control.Member](t)(p.bobs.Members(ctx(t))) {
		if want := map[bool]core.MemberRole{true: core.MemberOwner, false: core.MemberMember}[m.User == p.ann.User()]; m.Role != want {
			t.Errorf("%s is %s, and the members say %s", m.User.Short(), m.Role, want)
		}
	}
	p.liar.lie(func(l *lyingAPI) { l.members = nil })

	putRow(t, p.cluster, core.Member{Room: p.room.ID(), User: ghost, Role: core.MemberAdmin, State: core.MemberActive, Joined: 1})
	wakeUntil(t, p.room, told, func(e MembersDiffer) bool { return slices.Equal(e.Ghosts, []core.UserID{ghost}) && len(e.Removed) == 0 })
	all, err := p.room.Members(ctx(t))
	if want(t, "the members beside a ghost", err, core.KindRefused, seal.ErrRight); len(all) != 2 || !strings.Contains(err.Error(), string(ghost)) {
		t.Errorf("%d members, and %v", len(all), err)
	}
	ok(t, p.room.Remove(ctx(t), ghost))
	wakeUntil(t, p.room, told, func(e MembersDiffer) bool { return len(e.Ghosts)+len(e.Removed) == 0 })
	want(t, "removing it twice", p.room.Remove(ctx(t), ghost), core.KindNotFound, nil)

	chief := newTestUser(t, p.cluster, core.RoleAdmin).open()
	_, err = sendRetrying(ctx(t), chief, idempotent, func(ctx context.Context) (core.Member, error) {
		return chief.api.Remove(ctx, p.room.ID(), p.bob.User())
	})
	ok(t, err)
	wakeUntil(t, p.room, told, func(e MembersDiffer) bool { return slices.Equal(e.Removed, []core.UserID{p.bob.User()}) })
	all = must[[]control.Member](t)(p.room.Members(ctx(t)))
	if at := slices.IndexFunc(all, func(m control.Member) bool { return m.User == p.bob.User() }); len(all) != 2 || all[at].State != core.MemberRemoved {
		t.Errorf("%+v", all)
	}
}

// wakeUntil has a room reconciled until an event comes.
func wakeUntil[E Event](t *testing.T, r *Room, events <-chan Event, is func(E) bool) {
	t.Helper()
	nodetest.Wait(t, wait, func() error {
		r.wake()
		select {
		case e := <-events:
			if e, fits := e.(E); fits && is(e) {
				return nil
			}
		default:
		}
		return core.Errorf(core.KindFailed, "the event has not come")
	})
}

// TestDifferencesThatPass: a member who joins or leaves between two answers of the node is
// no difference.
func TestDifferencesThatPass(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member { // bob has the list; now cid joins
			l.members = nil
			join(t, p.room, cid)
			return all
		}
	})
	all := must[[]control.Member](t)(p.bobs.Members(ctx(t)))
	if len(all) != 3 {
		t.Errorf("%d members", len(all))
	}
	p.bobs.do(func(l *roomLoop) {
		if !l.differences.isEmpty() {
			t.Errorf("%+v", l.differences)
		}
	})
	if d := (memberDifferences{}).err("r"); d != nil || errors.Is(d, seal.ErrRight) {
		t.Error(d)
	}
}

// swapMember lists a ghost in the place of a member.
func swapMember(member, ghost core.UserID) func(*lyingAPI) {
	return func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			for i := range all {
				if all[i].User == member {
					all[i].User = ghost
				}
			}
			return all
		}
	}
}

// TestGhostInThePlaceOfAMember: a node lists a ghost and leaves out a member, so that the
// numbers agree. It is told at the next look at the whole list, and by whoever makes a key:
// the member gets none of it.
func TestGhostInThePlaceOfAMember(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*testing.T, *pair){
		"after an hour": func(t *testing.T, p *pair) {
			ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error {
				w.compared.at = w.compared.at.Add(-w.c.timing.compareEvery)
				return w.refresh(ctx)
			}))
		},
		"at a new key": func(t *testing.T, p *pair) { ok(t, p.bobs.Rekey(ctx(t))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			cid := newTestUser(t, p.cluster, core.RoleMember).open()
			ok(t, p.room.Invite(ctx(t), cid.User(), ""))
			must[*Room](t)(cid.Accept(ctx(t), p.room.ID()))
			for range 2 {
				ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.refresh(ctx) }))
			}
			ghost := core.UserID(nodetest.Identity(t).Public())
			p.liar.lie(swapMember(cid.User(), ghost))
			look(t, p)
			awaitEvent(t, p.events, func(e MembersDiffer) bool {
				return slices.Equal(e.Ghosts, []core.UserID{ghost}) && slices.Equal(e.Removed, []core.UserID{cid.User()})
			})
		})
	}
}

// TestGhostsDoNotHoldUpARekey: a node lists ghosts. A new key costs no request for each.
func TestGhostsDoNotHoldUpARekey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	var ghosts []core.UserID
	for range 300 {
		ghosts = append(ghosts, core.UserID(nodetest.Identity(t).Public()))
	}
	asked := 0
	p.liar.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			for _, g := range ghosts {
				m := all[0]
				m.User = g
				all = append(all, m)
			}
			return all
		}
		l.statements = func(control.StatementsRequest, *control.Statements) { asked++ }
	})
	ok(t, p.bobs.Rekey(ctx(t)))
	p.liar.lie(func(*lyingAPI) {
		if asked > 10 {
			t.Errorf("%d requests for statements for one rekey: a list of 65,000 ghosts lets no rekey end in time, and nothing is sent", asked)
		}
	})
	slices.Sort(ghosts)
	awaitEvent(t, p.events, func(e MembersDiffer) bool { return slices.Equal(e.Ghosts, ghosts) })
}

// TestMemberWithoutAKeyIsTold: a node hides the key of a member, or calls the member revoked.
// The maker of the next key tells that this member gets none of it.
func TestMemberWithoutAKeyIsTold(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cid := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	must[*Room](t)(cid.Accept(ctx(t), p.room.ID()))
	hide := func(f func(*control.Member)) {
		p.liar.lie(func(l *lyingAPI) {
			l.members = func(all []control.Member) []control.Member {
				for i := range all {
					if all[i].User == cid.User() {
						f(&all[i])
					}
				}
				return all
			}
		})
	}
	hide(func(m *control.Member) { m.KEMKey = nil })
	ok(t, runJob(t, p.bobs, func(_ context.Context, w *reconciler) error {
		w.c.dir.mu.Lock()
		defer w.c.dir.mu.Unlock()
		delete(w.c.dir.peers, cid.User()) // or it is a key that was known
		return nil
	}))
	ok(t, p.bobs.Rekey(ctx(t)))
	awaitEvent(t, p.events, func(e Suspicion) bool {
		return errors.Is(e.Err, seal.ErrKey) && strings.Contains(e.Err.Error(), cid.User().Short())
	})
	hide(func(m *control.Member) { m.Status = core.UserRevoked })
	ok(t, p.bobs.Rekey(ctx(t)))
	awaitEvent(t, p.events, func(e MembersDiffer) bool { return slices.Equal(e.Removed, []core.UserID{cid.User()}) })
}
