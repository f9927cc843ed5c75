package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// chainedRoom is a room whose founder invites and removes, as a node keeps it.
type chainedRoom struct {
	t      *testing.T
	chain  *seal.Membership
	by     keys.Identity
	proofs map[core.UserID][]byte
}

func newChainedRoom(t *testing.T, id core.RoomID, by keys.Identity) *chainedRoom {
	t.Helper()
	m := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: id, By: by, At: 1700000000000, Encrypted: true}))
	r := &chainedRoom{t, m, by, map[core.UserID][]byte{}}
	r.keep(must[seal.Statement](t)(seal.VerifyStatement(id, m.Statements(0)[0])))
	return r
}

func (r *chainedRoom) keep(s seal.Statement) {
	r.proofs[s.Subject] = seal.AppendProof(r.proofs[s.Subject], s)
}

// sign signs over the head; with follow it counts, too.
func (r *chainedRoom) sign(kind seal.StatementKind, about core.UserID, role core.MemberRole, follow bool) {
	r.t.Helper()
	s := must[seal.Statement](r.t)(r.chain.Sign(seal.StatementConfig{Kind: kind, By: r.by, Subject: about, Role: role, At: 1700000001000}))
	if follow {
		must[seal.Statement](r.t)(r.chain.Append(s.Bytes()))
	}
	r.keep(s)
}

// rows are the room's rows, with everybody active who has statements.
func (r *chainedRoom) rows(s *core.Snapshot) {
	owner := core.UserID(r.by.Public())
	s.Rooms = append(s.Rooms, core.Room{ID: r.chain.Room(), Owner: owner, Encrypted: true, Rec: core.LegacyRec, State: core.RoomActive, Created: 1})
	for user, proof := range r.proofs {
		m := core.Member{Room: r.chain.Room(), User: user, Role: core.MemberMember, State: core.MemberInvited, Proof: proof, Joined: 1}
		if by := string(owner); user == owner {
			m.Role, m.State = core.MemberOwner, core.MemberActive
		} else {
			m.InvitedBy = &by
		}
		s.Members = append(s.Members, m)
	}
}

// TestRoomGetShowsTheChain: an operator sees who invited whom, when, signed by which key,
// from which node that comes, and whether it verifies; a fork with both signed statements.
func TestRoomGetShowsTheChain(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	ann := nodetest.Identity(t)
	bob, cid, ghost := core.UserID(nodetest.Identity(t).Public()), core.UserID(nodetest.Identity(t).Public()), core.UserID(nodetest.Identity(t).Public())
	var s core.Snapshot
	for _, id := range []core.UserID{core.UserID(ann.Public()), bob, cid, ghost} {
		s.Users = append(s.Users, core.User{ID: id, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	}
	good := newChainedRoom(t, "good", ann)
	for range 12 {
		good.sign(seal.StatementInvite, bob, core.MemberAdmin, true)
		good.sign(seal.StatementRemove, bob, "", true)
	}
	good.rows(&s)
	s.Members = append(s.Members, core.Member{Room: "good", User: ghost, Role: core.MemberAdmin, State: core.MemberActive, Joined: 1})
	forked := newChainedRoom(t, "forked", ann)
	forked.sign(seal.StatementInvite, bob, core.MemberMember, false)
	forked.sign(seal.StatementInvite, cid, core.MemberMember, false)
	forked.rows(&s)
	damaged := newChainedRoom(t, "damaged", ann)
	damaged.sign(seal.StatementInvite, bob, core.MemberMember, true)
	damaged.sign(seal.StatementInvite, cid, core.MemberMember, true)
	damaged.proofs[bob][len(damaged.proofs[bob])-1] ^= 1
	damaged.rows(&s)
	s.Rooms = append(s.Rooms, core.Room{ID: "unsigned", Owner: s.Users[0].ID, Encrypted: true, Rec: core.LegacyRec, State: core.RoomActive, Created: 1})
	s.Rooms = append(s.Rooms, core.Room{ID: "plain", Owner: s.Users[0].ID, Rec: core.LegacyRec, State: core.RoomActive, Created: 1})
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1, Seed: s})
	p.WaitServing(core.BackendSQLite, 0)
	get := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program(t, "unibusd"), append([]string{"room", "get", "--server", p.URLs(0)[0], "--identity", p.AdminSeedFile}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil && !slices.Contains(args, "-1") {
			t.Errorf("%v: %v", args, err)
		}
		return string(out)
	}
	has := func(what, out string, wanted ...string) {
		t.Helper()
		for _, w := range wanted {
			if !strings.Contains(out, w) {
				t.Errorf("%s has no %q:\n%s", what, w, out)
			}
		}
	}
	number := good.chain.Number()
	out := get("good")
	has("the good room", out, "25 statements, as n1 gave them, founded by "+ann.Public(), "it verifies", number.Number.String(), "5 statements before these: --statements 25",
		"the servers call this user a member, and no member has signed that: "+string(ghost), "2023-11-14 22:13:21", "invitation", "admin", string(bob))
	if n := strings.Count(out, " yes\n"); n != 20 {
		t.Errorf("%d statements are listed", n)
	}
	has("the forked room", get("forked"), "does not verify from statement 1 on", "fork: statement 1 of the room forked, the invitation of "+bob.Short(), "the invitation of "+cid.Short())
	has("the damaged room", get("damaged"), "does not verify from statement 1 on", "is not signed by", " no\n")
	has("a room without a chain", get("unsigned"), "No member has signed who the members are")
	if out := get("plain"); strings.Contains(out, "chain of the members") {
		t.Errorf("a plain room:\n%s", out)
	}
	has("a negative number", get("good", "--statements", "-1"), "cannot be below 0")
	var doc roomWithChain
	if err := json.Unmarshal([]byte(get("forked", "--statements", "2", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	k := doc.Check
	if k == nil || k.Valid || k.FaultAt == nil || *k.FaultAt != 1 || len(k.Forks) != 1 || len(k.Forks[0].Known) < 600 || k.Forks[0].Known == k.Forks[0].Shown || len(k.Shown) != 2 || k.Omitted != 1 || !slices.Equal(k.Nodes, []string{"n1"}) {
		t.Errorf("%+v", k)
	}
	if doc.Chain == nil || doc.Chain.Fault == "" || doc.Chain.Node != "n1" {
		t.Errorf("the node's own summary: %+v", doc.Chain)
	}
}
