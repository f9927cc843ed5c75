package client

import (
	"sync"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// TestNobodyIsMadeToFork: a node says "conflict" again and again, and shows no newer statement. The client
// signs no second statement over the same head: the two would be a fork, and the proof of it would name this user.
func TestNobodyIsMadeToFork(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	var mu sync.Mutex
	var got [][]byte
	conflict := func(signed [][]byte) (control.ChainHead, error) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, signed[0])
		return control.ChainHead{}, core.Errorf(core.KindConflict, "another one came first")
	}
	check := func(what string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		for i := 1; i < len(got); i++ {
			proof := seal.ForkProof{Room: id, Known: got[0], Shown: got[i]}
			if err := proof.Check(); err == nil {
				t.Errorf("%s: the node has %d statements; the first and the number %d are a valid proof of a fork, signed by an honest member", what, len(got), i)
				break
			}
		}
		got = nil
	}
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	p.bobs.wake()
	ok(t, p.bobs.fetchStatements(ctx(t)))
	dot := newTestUser(t, p.cluster, core.RoleMember)
	p.liar.lie(func(l *lyingAPI) { l.append = conflict })
	_ = p.bobs.Invite(ctx(t), dot.id, "")
	check("a member who invites")

	l := &lyingAPI{}
	cid := newTestUser(t, p.cluster, core.RoleMember).open(between(l))
	ok(t, p.room.Invite(ctx(t), cid.User(), ""))
	must[[]Invitation](t)(cid.Invitations(ctx(t)))
	l.lie(func(l *lyingAPI) { l.append = conflict })
	_, _ = cid.Accept(ctx(t), id)
	check("somebody who accepts")
}

// TestLeaveWithoutAnAnswer: the answer to a departure is lost, because the session ends with
// the room. The second try finds that this user is no member, which is what was asked for.
func TestLeaveWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.liar.lie(func(l *lyingAPI) {
		l.append = func(signed [][]byte) (control.ChainHead, error) {
			if _, err := l.controlAPI.AppendStatements(ctx(t), p.room.ID(), signed...); err != nil {
				return control.ChainHead{}, err
			}
			return control.ChainHead{}, core.Errorf(core.KindUnavailable, "the answer is lost")
		}
	})
	ok(t, p.bobs.Leave(ctx(t)))
}
