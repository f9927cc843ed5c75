package client

import (
	"errors"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestJoinAtACheckpoint: an owner's client confirms the members once a thousand statements
// came. A user who joins reads the members of the checkpoint and what came since, finds the
// same members as the others, and follows the chain on in a later process.
func TestJoinAtACheckpoint(t *testing.T) {
	t.Parallel()
	ann, bob, cid := seededUser(t, "ann"), seededUser(t, "bob"), seededUser(t, "cid")
	s := longRoom(t, ann, 30, seal.CheckpointEvery+5, false)
	for _, u := range []testUser{bob, cid} {
		s.Users = append(s.Users, core.User{ID: u.id, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	}
	s.Sort()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: s})
	n.WaitServing(core.BackendSQLite, 0)
	for _, u := range []*testUser{&ann, &bob, &cid} {
		u.cfg.Servers = []string{n.URL(0)}
	}
	a := ann.open()
	room := must[*Room](t)(a.Room(ctx(t), "long"))
	ok(t, room.ConfirmNumber(ctx(t), must[seal.RoomNumber](t)(room.SafetyNumber(ctx(t))))) // she has a new device
	nodetest.Wait(t, 2*wait, func() error {                                                // she signs it by herself, and makes the first key
		var last seal.Statement
		room.members.use(func(m *seal.Membership) {
			all := m.Statements(m.Head().Seq)
			last = must[seal.Statement](t)(seal.VerifyStatement("long", all[0]))
		})
		if last.Kind != seal.StatementCheckpoint {
			return core.Errorf(core.KindFailed, "the last statement is %s", last)
		}
		return nil
	})
	ok(t, room.Rekey(ctx(t))) // whose record is not older than the checkpoint

	l := &lyingAPI{}
	b := bob.open(between(l))
	ok(t, room.Invite(ctx(t), b.User(), core.MemberAdmin))
	bobs := must[*Room](t)(b.Accept(ctx(t), "long"))
	startsAt := func(r *Room) (seq uint64, founding bool) {
		r.members.use(func(m *seal.Membership) { seq, founding = m.Start(), m.FromFounding() })
		return seq, founding
	}
	if at, founding := startsAt(bobs); founding || at < seal.CheckpointEvery {
		t.Errorf("bob has read the statements from number %d on", at)
	}
	ok(t, room.fetchStatements(ctx(t)))
	var mine, theirs []byte
	room.members.use(func(m *seal.Membership) { mine = m.State() })
	bobs.members.use(func(m *seal.Membership) { theirs = m.State() })
	if string(mine) != string(theirs) {
		t.Error("bob has found other members than ann")
	}
	heard := room.Chan(t.Context())
	ok(t, bobs.Send(ctx(t), []byte("I am in")))
	receiveText(t, heard, "I am in")
	ok(t, b.Close())
	again := bob.open(between(&lyingAPI{}))
	bobs = must[*Room](t)(again.Room(ctx(t), "long"))
	if at, founding := startsAt(bobs); founding || at < seal.CheckpointEvery {
		t.Errorf("later he has read the statements from number %d on", at)
	}
	ok(t, bobs.Send(ctx(t), []byte("I am back")))
	receiveText(t, heard, "I am back")

	ok(t, bobs.Invite(ctx(t), cid.id, "")) // an admin's invitation is vouched for by him alone
	l = &lyingAPI{}
	l.lie(func(l *lyingAPI) { // a state that is not the checkpoint's
		l.chain = func(s *control.Statements) {
			if s.State != nil {
				s.State = must[[]byte](t)(seal.MakeSnapshot("long", true, map[core.UserID]core.MemberRole{cid.id: core.MemberOwner}))
			}
		}
	})
	c := cid.open(between(l))
	_, err := c.Accept(ctx(t), "long")
	if want(t, "a false state", err, core.KindRefused, seal.ErrChain); !errors.Is(err, seal.ErrChain) {
		t.Error(err)
	}
	l.lie(func(l *lyingAPI) { l.chain = nil })
	must[*Room](t)(c.Room(ctx(t), "long"))
}
