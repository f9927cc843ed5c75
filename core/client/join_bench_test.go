package client

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

const longChain = 10_000 // statements about the members of a room of roomSize

// BenchmarkJoinALongChain is a user who accepts an invitation to a room of 1,000 members
// with so many statements about them: from the call to the open room, of which the statements
// since a checkpoint were read and verified. The owner's key comes after that.
func BenchmarkJoinALongChain(b *testing.B) {
	for _, statements := range []uint64{longChain, 10 * longChain} {
		b.Run(fmt.Sprint(statements), func(b *testing.B) { joinALongChain(b, statements) })
	}
}

func joinALongChain(b *testing.B, statements uint64) {
	ann := seededUser(b, "ann")
	s := longRoom(b, ann, roomSize, statements, true)
	var joiners []testUser
	for range 8 {
		j := seededUser(b, "joiner")
		joiners = append(joiners, j)
		s.Users = append(s.Users, core.User{ID: j.id, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	}
	s.Sort()
	n := nodetest.Start(b, nodetest.Config{Nodes: 1, Seed: s})
	n.WaitServing(core.BackendSQLite, 0)
	ann.cfg.Servers = []string{n.URL(0)}
	a := ann.open()
	room := must[*Room](b)(a.Room(ctx(b), "long"))
	if h, _ := room.members.head(); h.Seq != statements-1 {
		b.Fatalf("the chain has %d statements", h.Seq+1)
	}
	ok(b, room.ConfirmNumber(ctx(b), must[seal.RoomNumber](b)(room.SafetyNumber(ctx(b))))) // a new device of ann's: a person has compared
	var invite, join time.Duration
	var read uint64
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		if i == len(joiners) {
			b.Fatal("use -benchtime 5x")
		}
		joiners[i].cfg.Servers = ann.cfg.Servers
		j := joiners[i].open()
		began := time.Now()
		ok(b, room.Invite(ctx(b), j.User(), ""))
		invite += time.Since(began)
		b.StartTimer()
		began = time.Now()
		joined := must[*Room](b)(j.Accept(ctx(b), "long"))
		join += time.Since(began)
		joined.members.use(func(m *seal.Membership) { read += m.Head().Seq + 1 - m.Start() })
	}
	b.ReportMetric(float64(invite.Milliseconds())/float64(b.N), "ms/invitation")
	b.ReportMetric(float64(join.Milliseconds())/float64(b.N), "ms/join")
	b.ReportMetric(float64(read)/float64(b.N), "statements/join")
	b.ReportMetric(0, "ns/op")
}

// seededUser is a user whom the node has from the start.
func seededUser(b testing.TB, name string) testUser {
	b.Helper()
	seed, id := nodetest.SeedFile(b, name)
	p := testUser{t: b, seed: seed, id: core.UserID(id.Public())}
	p.cfg = Config{Seed: seed, Dir: filepath.Join(b.TempDir(), "keys"), Log: nodetest.Log(b)}
	return p
}

// longRoom is ann's room in the rows of a store: so many members and statements, with
// checkpoints where they are due. Its members change roles to and fro.
func longRoom(b testing.TB, ann testUser, size int, statements uint64, checkpoints bool) core.Snapshot {
	b.Helper()
	owner := must[keys.Identity](b)(keys.ReadSeed(ann.seed))
	m := must[*seal.Membership](b)(seal.MakeFounding(seal.FoundingConfig{Room: "long", By: owner, At: 1, Encrypted: true}))
	proofs := map[core.UserID][]byte{ann.id: seal.AppendProof(nil, must[seal.Statement](b)(seal.VerifyStatement("long", m.Statements(0)[0])))}
	add := func(cfg seal.StatementConfig) {
		st := must[seal.Statement](b)(m.Sign(cfg))
		must[seal.Statement](b)(m.Append(st.Bytes()))
		proofs[st.Subject] = seal.AppendProof(proofs[st.Subject], st)
	}
	var members []core.UserID
	for range size - 1 {
		id := must[keys.Identity](b)(keys.GenerateIdentity())
		user := core.UserID(id.Public())
		add(seal.StatementConfig{Kind: seal.StatementInvite, By: owner, Subject: user, Role: core.MemberMember})
		add(seal.StatementConfig{Kind: seal.StatementAccept, By: id})
		members = append(members, user)
	}
	for i := 0; m.Head().Seq < statements-1; i++ {
		if checkpoints && m.CheckpointDue() {
			add(seal.StatementConfig{Kind: seal.StatementCheckpoint, By: owner})
			continue
		}
		user, role := members[i%len(members)], core.MemberAdmin
		if m.Role(user) == core.MemberAdmin {
			role = core.MemberMember
		}
		add(seal.StatementConfig{Kind: seal.StatementRole, By: owner, Subject: user, Role: role})
	}
	s := core.Snapshot{Rooms: []core.Room{{ID: "long", Owner: ann.id, Encrypted: true, Rec: core.LegacyRec, State: core.RoomActive, Created: 1}}}
	for user, p := range m.People() {
		s.Users = append(s.Users, core.User{ID: user, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
		s.Members = append(s.Members, core.Member{Room: "long", User: user, Role: p.Role, State: core.MemberActive, Proof: proofs[user], Joined: 1})
	}
	return s
}
