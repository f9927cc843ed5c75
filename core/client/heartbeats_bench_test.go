package client

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// BenchmarkHeartbeatsOfALargeRoom measures the cost of a heartbeat for its receiver in
// a room of 1,000 members with 10,000 statements, and that of the look at the state
// that each client takes once a minute.
func BenchmarkHeartbeatsOfALargeRoom(b *testing.B) {
	ann, bob := seededUser(b, "ann"), seededUser(b, "bob")
	s := longRoom(b, ann, roomSize, longChain, true)
	s.Users = append(s.Users, core.User{ID: bob.id, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	s.Sort()
	n := nodetest.Start(b, nodetest.Config{Nodes: 1, Seed: s})
	n.WaitServing(core.BackendSQLite, 0)
	ann.cfg.Servers, bob.cfg.Servers = []string{n.URL(0)}, []string{n.URL(0)}
	a, other := ann.open(), bob.open()
	room := must[*Room](b)(a.Room(ctx(b), "long"))
	ok(b, room.Invite(ctx(b), other.User(), ""))
	bobs := must[*Room](b)(other.Accept(ctx(b), "long"))
	isMember := func() bool { role, _ := room.members.role(other.me); return role != "" }
	nodetest.Wait(b, wait, func() error {
		if room.wake(); !isMember() {
			return core.Errorf(core.KindConflict, "ann has not followed bob's acceptance")
		}
		return nil
	})
	head, _ := bobs.members.head()
	subject := auth.HeartbeatSubject("long", string(other.me))
	b.Run("receive", func(b *testing.B) {
		h := seal.Heartbeat{Room: "long", User: other.me, Members: head, KEMTime: other.ownKey().Time, KEMHash: other.ownKey().Hash}
		var signed [][]byte
		for i := range 2000 {
			h.Time = core.MillisOf(time.Now()) + core.Millis(i)
			signed = append(signed, must[[]byte](b)(h.Sign(other.id)))
		}
		b.ReportMetric(float64(len(signed[0])), "bytes")
		for i := 0; b.Loop(); i++ {
			room.onHeartbeat(&nats.Msg{Subject: subject, Data: signed[i%len(signed)]})
		}
	})
	b.Run("look", func(b *testing.B) {
		ok(b, room.runJob(context.Background(), func(_ context.Context, w *reconciler) error {
			for b.Loop() {
				w.attend()
			}
			return nil
		}))
	})
}

// BenchmarkHeartbeatOfTheFounding takes a heartbeat that names statement 0 of a long chain: the
// room's goroutine waits for the same lock with every message.
func BenchmarkHeartbeatOfTheFounding(b *testing.B) {
	id, other := nodetest.Identity(b), core.UserID(nodetest.Identity(b).Public())
	m := must[*seal.Membership](b)(seal.MakeFounding(seal.FoundingConfig{Room: "plans", By: id, At: 1, Encrypted: true}))
	for i := range longChain {
		cfg := seal.StatementConfig{Kind: seal.StatementRemove, Subject: other, By: id, At: 1}
		if i%2 == 0 {
			cfg.Kind, cfg.Role = seal.StatementInvite, core.MemberMember
		}
		must[seal.Statement](b)(m.Append(must[seal.Statement](b)(m.Sign(cfg)).Bytes()))
	}
	r := &Room{id: "plans"}
	r.members.chain = m
	r.view.Store(&roomView{})
	h := seal.Heartbeat{Members: seal.MembershipHead{Seq: 0, Hash: seal.Hash{1}}}
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = r.compareHeads(h)
	}
}
