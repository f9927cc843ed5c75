package seal

import (
	"testing"

	"unibus/core"
)

// TestProofFor: members who have signed lately prove the room to bob, or do not.
func TestProofFor(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid", "dot", "eve", "fay")
	ann, bob, cid, dot, eve, fay := p[0], p[1], p[2], p[3], p[4], p[5]
	step := func(kind StatementKind, by, about person, role core.MemberRole) func(*testing.T, *Membership) {
		return func(t *testing.T, m *Membership) {
			t.Helper()
			s, err := m.Sign(StatementConfig{Kind: kind, By: by, Subject: about.user, Role: role, At: start})
			ok(t, err)
			_, err = m.Append(s.raw)
			ok(t, err)
		}
	}
	joins := func(who, by person, role core.MemberRole) []func(*testing.T, *Membership) {
		return []func(*testing.T, *Membership){step(StatementInvite, by, who, role), step(StatementAccept, who, who, "")}
	}
	all := func(parts ...[]func(*testing.T, *Membership)) (out []func(*testing.T, *Membership)) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	one := func(f func(*testing.T, *Membership)) []func(*testing.T, *Membership) {
		return []func(*testing.T, *Membership){f}
	}
	two := all(joins(bob, ann, core.MemberMember), joins(cid, ann, core.MemberAdmin))   // bob came when ann was alone
	three := all(joins(cid, ann, core.MemberAdmin), joins(bob, ann, core.MemberMember)) // and here cid was there, too
	for _, c := range []struct {
		name  string
		steps []func(*testing.T, *Membership)
		heard []person
		want  Proof
	}{
		{"nobody is heard", three, nil, ProofNone},
		{"one of two", three, []person{cid}, ProofNone},
		{"both", three, []person{ann, cid}, ProofFirm},
		{"one and a puppet", all(three, joins(dot, cid, core.MemberMember)), []person{cid, dot}, ProofNone},
		{"two puppets", all(three, joins(dot, cid, core.MemberMember), joins(eve, cid, core.MemberMember)), []person{dot, eve}, ProofNone},
		{"somebody of each", all(three, joins(dot, cid, core.MemberMember), joins(eve, ann, core.MemberMember)), []person{dot, eve}, ProofFirm},
		{"the other was removed", all(three, one(step(StatementRemove, ann, cid, ""))), []person{ann}, ProofNone},
		{"the other has left", all(three, one(step(StatementLeave, cid, cid, ""))), []person{ann}, ProofWeak},
		{"who has left is heard no more", all(three, one(step(StatementLeave, cid, cid, ""))), []person{cid}, ProofNone},
		{"whom somebody brought in who has left", all(three, joins(dot, cid, core.MemberMember), one(step(StatementLeave, cid, cid, ""))), []person{ann, dot}, ProofFirm},
		{"the only other", two, []person{ann}, ProofWeak},
		{"whom the only other brought in", two, []person{cid}, ProofNone},
		{"two whom the only other brought in", all(two, joins(dot, ann, core.MemberMember)), []person{cid, dot}, ProofWeak},
		{"one of them and its puppet", all(two, joins(dot, cid, core.MemberMember)), []person{cid, dot}, ProofNone},
		{"an invited user", all(three, one(step(StatementInvite, cid, fay, core.MemberMember))), []person{cid, fay}, ProofNone},
	} {
		m := founded(t, ann)
		for _, f := range c.steps {
			f(t, m)
		}
		heard := map[core.UserID]bool{}
		for _, who := range c.heard {
			heard[who.user] = true
		}
		if got := m.ProofFor(bob.user, heard); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	m := founded(t, ann)
	if got := m.ProofFor(ann.user, nil); got != ProofWeak {
		t.Errorf("the founder alone: %d", got)
	}
	for _, f := range all(joins(bob, ann, core.MemberMember), joins(cid, ann, core.MemberMember)) {
		f(t, m)
	}
	if got := m.ProofFor(ann.user, map[core.UserID]bool{bob.user: true, cid.user: true}); got != ProofFirm {
		t.Errorf("two whom the founder invited: %d", got)
	}
	if got := m.ProofFor(ann.user, map[core.UserID]bool{bob.user: true}); got != ProofNone {
		t.Errorf("one of them: %d", got)
	}
	snapshot, err := MakeSnapshot("attic", true, map[core.UserID]core.MemberRole{ann.user: core.MemberOwner, bob.user: core.MemberMember, cid.user: core.MemberMember, dot.user: core.MemberMember})
	ok(t, err)
	attic, err := MakeFounding(FoundingConfig{Room: "attic", By: ann, At: start, Encrypted: true, Snapshot: snapshot})
	ok(t, err)
	for _, c := range []struct {
		heard []person
		want  Proof
	}{{[]person{ann}, ProofWeak}, {[]person{cid}, ProofNone}, {[]person{cid, dot}, ProofWeak}} {
		heard := map[core.UserID]bool{}
		for _, who := range c.heard {
			heard[who.user] = true
		}
		if got := attic.ProofFor(bob.user, heard); got != c.want {
			t.Errorf("of a founding with a snapshot, %d heard: %d, want %d", len(c.heard), got, c.want)
		}
	}
}
