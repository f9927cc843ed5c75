package seal

import (
	"bytes"
	"testing"

	"unibus/core"
)

// proofs are the proofs of the rows that a chain's statements are about.
func proofs(m *Membership) map[core.UserID][]byte {
	out := map[core.UserID][]byte{}
	for _, l := range m.log {
		s, _, _ := parseStatement(l.raw)
		out[s.Subject] = AppendProof(out[s.Subject], s)
	}
	return out
}

func values(m map[core.UserID][]byte) (out [][]byte) {
	for _, p := range m {
		out = append(out, p)
	}
	return append(out, nil, []byte("a proof of another kind"))
}

// TestRowsHoldTheChain: the proofs of all rows are the chain, and a row that is gone or
// damaged is found.
func TestRowsHoldTheChain(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid")
	m := founded(t, p[0])
	joined(t, m, p[0], p[1], core.MemberAdmin)
	joined(t, m, p[1], p[2], core.MemberMember)
	step(t, m, StatementRemove, p[0], p[2], "")
	rows := proofs(m)
	again, err := MembershipOfProofs("lobby", values(rows))
	ok(t, err)
	if again.Mark() != m.Mark() || string(again.State()) != string(m.State()) {
		t.Error("the rows lead to other members")
	}
	if s, found := HeadOfProofs(values(rows)); !found || s.Hash != m.head.Hash {
		t.Errorf("the head of the rows is %s", s)
	}
	if s, found := LastInProof(rows[p[1].user]); !found || s.Kind != StatementAccept {
		t.Errorf("the last statement about bob is %s", s)
	}
	if founder, is := again.Founder(); !is || founder != p[0].user {
		t.Errorf("the founder is %s", founder)
	}
	part := StatementsOfProofs(values(rows), 2, 3)
	if len(part) != 3 || !bytes.Equal(part[0], m.log[2].raw) || !bytes.Equal(part[2], m.log[4].raw) || len(again.Statements(2)) != len(m.log)-2 {
		t.Errorf("%d statements from number 2 on", len(part))
	}
	if none, err := MembershipOfProofs("lobby", values(nil)); none != nil || err != nil {
		t.Errorf("rows without statements: %v", err)
	}
	for what, change := range map[string]func(map[core.UserID][]byte){
		"a row is gone":           func(m map[core.UserID][]byte) { delete(m, p[1].user) },
		"the end of a row":        func(m map[core.UserID][]byte) { m[p[1].user] = m[p[1].user][:100] },
		"a byte more":             func(m map[core.UserID][]byte) { m[p[1].user] = append(m[p[1].user], 0) },
		"a statement is no one":   func(m map[core.UserID][]byte) { m[p[1].user] = append(m[p[1].user], 0, 1, 7) },
		"the first is gone":       func(m map[core.UserID][]byte) { m[p[0].user] = []byte(core.StatementsPrefix) },
		"a founding of elsewhere": func(m map[core.UserID][]byte) { m[p[0].user] = proofs(founded(t, p[1]))[p[1].user] },
	} {
		bad := proofs(m)
		change(bad)
		if _, err := MembershipOfProofs("lobby", values(bad)); core.KindOf(err) != core.KindFailed {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestStatementsThatFollowEachOther are signed together, and the chain stays as it is.
func TestStatementsThatFollowEachOther(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	m := founded(t, p[0])
	joined(t, m, p[0], p[1], core.MemberMember)
	before, people := m.Mark(), string(m.State())
	all, err := m.SignAll(
		StatementConfig{Kind: StatementRole, By: p[0], Subject: p[1].user, Role: core.MemberOwner, At: start},
		StatementConfig{Kind: StatementRole, By: p[0], Subject: p[0].user, Role: core.MemberAdmin, At: start})
	ok(t, err)
	if m.Mark() != before || string(m.State()) != people {
		t.Error("signing has changed the chain")
	}
	for _, b := range all {
		_, err := m.Append(b)
		ok(t, err)
	}
	if m.Role(p[1].user) != core.MemberOwner || m.Role(p[0].user) != core.MemberAdmin {
		t.Errorf("%+v", m.People())
	}
	_, err = m.SignAll(StatementConfig{Kind: StatementLeave, By: p[0]}, StatementConfig{Kind: StatementLeave, By: p[0]})
	refused(t, err, ErrRight)
}

// FuzzProof: the bytes of a row are split or refused, and nothing that cannot be verified is a
// chain.
func FuzzProof(f *testing.F) {
	ann, bob := newPerson(f, "ann"), newPerson(f, "bob")
	m := founded(f, ann)
	step(f, m, StatementInvite, ann, bob, core.MemberMember)
	for _, p := range proofs(m) {
		f.Add(p)
	}
	f.Add([]byte(core.StatementsPrefix + "\x00"))
	f.Fuzz(func(t *testing.T, proof []byte) {
		all, states, fits := splitProof(proof)
		if fits && core.HasStatements(proof) && len(states) == 0 {
			again := []byte(core.StatementsPrefix)
			for _, b := range all {
				again = append(append(again, byte(len(b)>>8), byte(len(b))), b...)
			}
			if !bytes.Equal(again, proof) {
				t.Error("two forms of one proof")
			}
		}
		_, _ = LastInProof(proof)
		_ = StatementsOfProofs([][]byte{proof}, 0, 10)
		if chain, err := MembershipOfProofs("lobby", [][]byte{proof}); err == nil && (chain == nil) != (len(all) == 0) {
			t.Error("statements without a chain")
		}
	})
}
