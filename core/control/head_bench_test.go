package control

import (
	"testing"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/seal"
)

// chainRows are the rows of a room with that many members and statements.
func chainRows(b *testing.B, members, statements int) []core.Member {
	b.Helper()
	owner := newIdentity(b)
	m, err := seal.MakeFounding(seal.FoundingConfig{Room: "lobby", By: owner, At: 1, Encrypted: true})
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]core.Member, members)
	first, _ := seal.VerifyStatement("lobby", m.Statements(0)[0])
	rows[0] = core.Member{User: core.UserID(owner.Public()), Proof: seal.AppendProof(nil, first)}
	for i := 1; i < members; i++ {
		rows[i].User = core.UserID(newIdentity(b).Public())
	}
	for i := range statements - 1 {
		at := 1 + i%(members-1)
		kind := seal.StatementInvite
		if _, there := m.Person(rows[at].User); there {
			kind = seal.StatementRemove
		}
		cfg := seal.StatementConfig{Kind: kind, By: owner, Subject: rows[at].User, At: 1}
		if kind == seal.StatementInvite {
			cfg.Role = core.MemberMember
		}
		s, err := m.Sign(cfg)
		if err == nil {
			_, err = m.Append(s.Bytes())
		}
		if err != nil {
			b.Fatal(err)
		}
		rows[at].Proof = seal.AppendProof(rows[at].Proof, s)
	}
	return rows
}

// BenchmarkHead is what each look at an encrypted room costs its node: the newest statement of
// all rows.
func BenchmarkHead(b *testing.B) {
	rows := chainRows(b, 1000, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if h := headOf(rows); h == nil || h.Seq != 9999 {
			b.Fatal(h)
		}
	}
}

func newIdentity(b *testing.B) keys.Identity {
	b.Helper()
	id, err := keys.GenerateIdentity()
	if err != nil {
		b.Fatal(err)
	}
	return id
}
