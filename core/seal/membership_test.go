package seal

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"unibus/core"
)

// founded is a room that a person has founded.
func founded(t rapid.TB, by person) *Membership {
	t.Helper()
	m, err := MakeFounding(FoundingConfig{Room: "lobby", By: by, At: start, Encrypted: true})
	ok(t, err)
	return m
}

// signed is a statement over the head, whether its signer may or not.
func signed(t rapid.TB, m *Membership, kind StatementKind, by person, subject core.UserID, role core.MemberRole) Statement {
	t.Helper()
	s := Statement{
		Room: m.room, Seq: m.head.Seq + 1, Prev: m.head.Hash, Time: start, Epoch: m.epoch, Record: m.record,
		Kind: kind, Role: role, Subject: subject, Signer: by.user,
	}
	switch kind {
	case StatementAccept, StatementDecline:
		if s.Ref = m.people[subject].ref; s.Ref == (Hash{}) {
			s.Ref = Hash{1} // the signer makes one up
		}
	case StatementCheckpoint:
		s.Ref = stateHash(m.encode())
	}
	s, err := s.sign(by)
	ok(t, err)
	return s
}

// step appends a statement that is valid.
func step(t rapid.TB, m *Membership, kind StatementKind, by person, about person, role core.MemberRole) Statement {
	t.Helper()
	s, err := m.Sign(StatementConfig{Kind: kind, By: by, Subject: about.user, Role: role, At: start})
	ok(t, err)
	_, err = m.Append(s.raw)
	ok(t, err)
	return s
}

// joined invites a person, who accepts.
func joined(t rapid.TB, m *Membership, by, who person, role core.MemberRole) {
	t.Helper()
	step(t, m, StatementInvite, by, who, role)
	step(t, m, StatementAccept, who, who, "")
}

// statements are those of a chain from its start on.
func statements(m *Membership) [][]byte {
	out := make([][]byte, len(m.log))
	for i, l := range m.log {
		out[i] = l.raw
	}
	return out
}

// copyOf is another reader of the same chain.
func copyOf(t rapid.TB, m *Membership) *Membership {
	t.Helper()
	out, err := ReadMembership(MembershipSource{Room: m.room, Statements: statements(m)})
	ok(t, err)
	return out
}

func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid")
	ann, bob, cid := p[0], p[1], p[2]
	m := founded(t, ann)
	if m.Role(ann.user) != core.MemberOwner || !m.Encrypted() || m.Head().Seq != 0 || m.Mark().Founding != m.Head().Hash {
		t.Fatalf("%+v", m.Head())
	}
	step(t, m, StatementInvite, ann, bob, core.MemberAdmin)
	if who, there := m.Person(bob.user); !there || !who.Invited || who.Inviter != ann.user || m.Role(bob.user) != "" {
		t.Errorf("an invited user is %+v", who)
	}
	step(t, m, StatementAccept, bob, bob, "")
	joined(t, m, bob, cid, core.MemberMember)
	step(t, m, StatementRole, ann, bob, core.MemberOwner)
	step(t, m, StatementLeave, ann, ann, "")
	step(t, m, StatementRemove, bob, cid, "")
	step(t, m, StatementInvite, bob, cid, core.MemberMember)
	step(t, m, StatementDecline, cid, cid, "")
	if len(m.People()) != 1 || m.Role(bob.user) != core.MemberOwner {
		t.Errorf("%+v", m.People())
	}
	again := copyOf(t, m)
	if string(again.State()) != string(m.State()) {
		t.Error("the same statements lead to another state")
	}
	for _, b := range statements(m) {
		_, err := m.Append(b) // again: nothing to do
		ok(t, err)
	}
	resumed, err := ResumeMembership(m.Mark(), MembershipSource{Room: "lobby", Statements: statements(m)})
	ok(t, err)
	if resumed.Head() != m.Head() {
		t.Errorf("resumed at %+v", resumed.Head())
	}
}

// TestWhoMaySign tries every kind by every rank about every other one, against the
// table of the design written again.
func TestWhoMaySign(t *testing.T) {
	t.Parallel()
	names := []string{"owner", "owner2", "admin", "admin2", "member", "member2", "invited", "invited2", "outsider", "outsider2"}
	p := roster(t, names...)
	m := founded(t, p[0])
	joined(t, m, p[0], p[1], core.MemberAdmin)
	step(t, m, StatementRole, p[0], p[1], core.MemberOwner)
	joined(t, m, p[0], p[2], core.MemberAdmin)
	joined(t, m, p[0], p[3], core.MemberAdmin)
	joined(t, m, p[2], p[4], core.MemberMember)
	joined(t, m, p[0], p[5], core.MemberMember)
	step(t, m, StatementInvite, p[2], p[6], core.MemberMember)
	step(t, m, StatementInvite, p[0], p[7], core.MemberAdmin)
	rank := []string{"owner", "owner", "admin", "admin", "member", "member", "invited", "invited as admin", "outsider", "outsider"}

	may := func(kind StatementKind, by, about int, role core.MemberRole) bool {
		self, s, o := by == about, rank[by], rank[about]
		isMember := o == "owner" || o == "admin" || o == "member"
		switch kind {
		case StatementInvite:
			over := s == "owner" || s == "admin" && role == core.MemberMember && o != "invited as admin"
			return over && !isMember
		case StatementAccept:
			return self && (o == "invited" && role == core.MemberMember || o == "invited as admin" && role == core.MemberAdmin)
		case StatementDecline:
			return self && (o == "invited" || o == "invited as admin")
		case StatementRole:
			return s == "owner" && isMember && o != string(role)
		case StatementRemove:
			return o != "outsider" && (s == "owner" || s == "admin" && (o == "member" || o == "invited"))
		case StatementLeave:
			return self && isMember
		case StatementCheckpoint:
			return self && s == "owner"
		}
		return false
	}
	roles := []core.MemberRole{"", core.MemberMember, core.MemberAdmin, core.MemberOwner}
	tried := 0
	for kind := StatementInvite; kind <= StatementCheckpoint; kind++ {
		for by := range p {
			for about := range p {
				for _, role := range roles {
					s := Statement{Room: "lobby", Seq: 1, Prev: Hash{1}, Kind: kind, Role: role, Subject: p[about].user, Signer: p[by].user}
					if kind == StatementAccept || kind == StatementDecline || kind == StatementCheckpoint {
						s.Ref = Hash{1}
					}
					if !s.hasForm() {
						continue
					}
					tried++
					s = signed(t, m, kind, p[by], p[about].user, role)
					err := m.checkNext(s)
					if want := may(kind, by, about, role); (err == nil) != want {
						t.Errorf("%s by %s about %s to %q: %v", kind, names[by], names[about], role, err)
					} else if !want {
						refused(t, err, ErrRight)
					}
				}
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d statements were tried", tried)
	}
}

// TestAdversaries: each attack on the members of a room, by its own error.
func TestAdversaries(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid", "dot", "ghost")
	ann, bob, cid, dot, ghost := p[0], p[1], p[2], p[3], p[4]
	for name, c := range map[string]struct {
		attack func(t *testing.T, m *Membership) []byte
		want   Fault
	}{
		"a ghost invites itself, as the server's admin": {func(t *testing.T, m *Membership) []byte {
			return signed(t, m, StatementInvite, ghost, dot.user, core.MemberMember).raw
		}, ErrRight},
		"a ghost accepts what was never offered": {func(t *testing.T, m *Membership) []byte {
			return signed(t, m, StatementAccept, ghost, ghost.user, core.MemberMember).raw
		}, ErrRight},
		"a ghost's invitation in an owner's name": {func(t *testing.T, m *Membership) []byte {
			s := signed(t, m, StatementInvite, ghost, dot.user, core.MemberMember)
			s.Signer = ann.user
			return append(s.appendBody(nil), s.raw[len(s.raw)-signatureSize:]...)
		}, ErrStatement},
		"a ghost founds the room again": {func(t *testing.T, _ *Membership) []byte { return founded(t, ghost).log[0].raw }, ErrFork},
		"an invitation of another room": {func(t *testing.T, m *Membership) []byte {
			other := *m
			other.room = "attic"
			return signed(t, &other, StatementInvite, ann, ghost.user, core.MemberMember).raw
		}, ErrStatement},
		"an old invitation again": {func(t *testing.T, m *Membership) []byte {
			old := step(t, m, StatementInvite, ann, dot, core.MemberMember)
			step(t, m, StatementRemove, ann, dot, "")
			return old.appendedAfter(m)
		}, ErrStatement},
		"an acceptance of an invitation that was replaced": {func(t *testing.T, m *Membership) []byte {
			step(t, m, StatementInvite, bob, dot, core.MemberMember)
			s := signed(t, m, StatementAccept, dot, dot.user, core.MemberMember)
			step(t, m, StatementInvite, ann, dot, core.MemberMember)
			s.Seq, s.Prev = m.head.Seq+1, m.head.Hash
			s, err := s.sign(dot)
			ok(t, err)
			return s.raw
		}, ErrRight},
		"reordered": {func(t *testing.T, m *Membership) []byte {
			other := copyOf(t, m)
			step(t, other, StatementInvite, ann, dot, core.MemberMember)
			return step(t, other, StatementAccept, dot, dot, "").raw
		}, ErrGap},
		"dropped": {func(t *testing.T, m *Membership) []byte {
			other := copyOf(t, m)
			step(t, other, StatementRemove, ann, cid, "")
			s := signed(t, other, StatementInvite, ann, dot.user, core.MemberMember)
			s.Seq--
			s, err := s.sign(ann)
			ok(t, err)
			return s.raw
		}, ErrFork},
		"a removed member signs on": {func(t *testing.T, m *Membership) []byte {
			step(t, m, StatementRemove, ann, bob, "")
			return signed(t, m, StatementInvite, bob, dot.user, core.MemberMember).raw
		}, ErrRight},
		"a demoted admin invites": {func(t *testing.T, m *Membership) []byte {
			step(t, m, StatementRole, ann, bob, core.MemberMember)
			return signed(t, m, StatementInvite, bob, dot.user, core.MemberMember).raw
		}, ErrRight},
		"an invitation of a demoted admin is accepted": {func(t *testing.T, m *Membership) []byte {
			step(t, m, StatementInvite, bob, dot, core.MemberMember)
			step(t, m, StatementRole, ann, bob, core.MemberMember)
			return signed(t, m, StatementAccept, dot, dot.user, core.MemberMember).raw
		}, ErrRight},
		"an invitation accepted twice": {func(t *testing.T, m *Membership) []byte {
			s := step(t, m, StatementInvite, ann, dot, core.MemberMember)
			step(t, m, StatementAccept, dot, dot, "")
			again := signed(t, m, StatementAccept, dot, dot.user, core.MemberMember)
			again.Ref = s.Hash
			again, err := again.sign(dot)
			ok(t, err)
			return again.raw
		}, ErrRight},
		"the last owner is demoted": {func(t *testing.T, m *Membership) []byte {
			return signed(t, m, StatementRole, ann, ann.user, core.MemberMember).raw
		}, ErrRight},
		"the last owner leaves": {func(t *testing.T, m *Membership) []byte { return signed(t, m, StatementLeave, ann, ann.user, "").raw }, ErrRight},
		"an admin makes an admin": {func(t *testing.T, m *Membership) []byte {
			return signed(t, m, StatementInvite, bob, dot.user, core.MemberAdmin).raw
		}, ErrRight},
		"a checkpoint of other members": {func(t *testing.T, m *Membership) []byte {
			s := signed(t, m, StatementCheckpoint, ann, ann.user, "")
			s.Ref = Hash{7}
			s, err := s.sign(ann)
			ok(t, err)
			return s.raw
		}, ErrRight},
		"an epoch that falls": {func(t *testing.T, m *Membership) []byte {
			m.epoch, m.record = 3, Hash{3}
			s := signed(t, m, StatementInvite, ann, dot.user, core.MemberMember)
			s.Epoch = 2
			s, err := s.sign(ann)
			ok(t, err)
			return s.raw
		}, ErrRollback},
		"another record of the epoch": {func(t *testing.T, m *Membership) []byte {
			m.epoch, m.record = 3, Hash{3}
			s := signed(t, m, StatementInvite, ann, dot.user, core.MemberMember)
			s.Record = Hash{4}
			s, err := s.sign(ann)
			ok(t, err)
			return s.raw
		}, ErrFork},
	} {
		t.Run(name, func(t *testing.T) {
			m := founded(t, ann)
			joined(t, m, ann, bob, core.MemberAdmin)
			joined(t, m, bob, cid, core.MemberMember)
			b := c.attack(t, m)
			before := string(m.State())
			_, err := m.Append(b)
			refused(t, err, c.want)
			if string(m.State()) != before {
				t.Error("what was refused has changed the members")
			}
			if m.Role(ghost.user) != "" || m.Role(dot.user) != "" && name != "an invitation accepted twice" {
				t.Error("somebody is a member")
			}
		})
	}
}

// appendedAfter is a statement as it was signed, with the place in the chain changed.
func (s Statement) appendedAfter(m *Membership) []byte {
	sig := s.raw[len(s.raw)-signatureSize:]
	s.Seq, s.Prev = m.head.Seq+1, m.head.Hash
	return append(s.appendBody(nil), sig...)
}

// TestTwoOwnersRemoveEachOther at once: the node takes one, and the other's signer is
// no owner any more when it signs again. A node that takes both makes a fork.
func TestTwoOwnersRemoveEachOther(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	ann, bob := p[0], p[1]
	m := founded(t, ann)
	joined(t, m, ann, bob, core.MemberAdmin)
	step(t, m, StatementRole, ann, bob, core.MemberOwner)
	theirs := copyOf(t, m)
	a, b := signed(t, m, StatementRemove, ann, bob.user, ""), signed(t, m, StatementRemove, bob, ann.user, "")
	_, err := m.Append(a.raw)
	ok(t, err)
	_, err = m.Append(b.raw)
	refused(t, err, ErrFork)
	proof := new(ForkProof)
	if !errors.As(err, &proof) {
		t.Fatalf("no proof: %v", err)
	}
	ok(t, proof.Check())
	if _, err := m.Sign(StatementConfig{Kind: StatementRemove, By: bob, Subject: ann.user}); !errors.Is(err, ErrRight) {
		t.Errorf("bob signs again: %v", err)
	}
	_, err = theirs.Append(b.raw) // whom the node showed the other one
	ok(t, err)
	refused(t, theirs.Check(m.Head()), ErrFork)
	for what, bad := range map[string]ForkProof{
		"the same twice":   {"lobby", a.raw, a.raw},
		"of another place": {"lobby", a.raw, statements(m)[1]},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%s is a proof", what)
		}
	}
	refused(t, (&ForkProof{"attic", a.raw, b.raw}).Check(), ErrStatement)
	a.raw[len(a.raw)-1] ^= 1
	refused(t, proof.Check(), ErrStatement)
}

func TestEveryBitOfAStatementIsSigned(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	m := founded(t, p[0])
	s := signed(t, m, StatementInvite, p[0], p[1].user, core.MemberMember)
	eachBit(s.raw, func(what string, flipped []byte) {
		if _, err := VerifyStatement("lobby", flipped); err == nil {
			t.Errorf("%s: accepted", what)
		}
	})
	cuts(s.raw, func(what string, cut []byte) {
		if _, err := VerifyStatement("lobby", cut); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
	state := m.State()
	cuts(state, func(what string, cut []byte) {
		if _, fits := parseState(cut); fits {
			t.Errorf("%s of a state: accepted", what)
		}
	})
}

// TestStaleAndForkedAnswers: a server's answers about the chain are compared with the known chain.
func TestStaleAndForkedAnswers(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid")
	m := founded(t, p[0])
	before := m.Head()
	joined(t, m, p[0], p[1], core.MemberMember)
	refused(t, m.Check(before), ErrRollback)
	refused(t, m.Check(MembershipHead{9, Hash{9}}), ErrGap)
	refused(t, m.Check(MembershipHead{m.Head().Seq, Hash{9}}), ErrFork)
	ok(t, m.Check(m.Head()))

	all := MembershipSource{Room: "lobby", Statements: statements(m)}
	_, err := ResumeMembership(m.Mark(), MembershipSource{Room: "lobby", Statements: all.Statements[:2]})
	refused(t, err, ErrRollback)
	_, err = ResumeMembership(m.Mark(), MembershipSource{Room: "lobby"})
	refused(t, err, ErrGap)
	_, err = ReadMembership(MembershipSource{Room: "lobby", Statements: all.Statements[1:]})
	refused(t, err, ErrGap)
	other := founded(t, p[2])
	_, err = ResumeMembership(m.Mark(), MembershipSource{Room: "lobby", Statements: statements(other)})
	refused(t, err, ErrFork)
	branch, err := ReadMembership(MembershipSource{Room: "lobby", Statements: all.Statements[:1]})
	ok(t, err)
	joined(t, branch, p[0], p[2], core.MemberMember)
	_, err = ResumeMembership(m.Mark(), MembershipSource{Room: "lobby", Statements: statements(branch)})
	refused(t, err, ErrFork)
	forged := statements(m) // a signature that is not verified again is bound by the hash
	forged[1] = append([]byte(nil), forged[1]...)
	forged[1][len(forged[1])-1] ^= 1
	_, err = ResumeMembership(m.Mark(), MembershipSource{Room: "lobby", Statements: forged})
	refused(t, err, ErrFork)
}

// TestRoomsAreFoundedAnew: an owner founds a room that had members before.
func TestRoomsAreFoundedAnew(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "ghost")
	who := map[core.UserID]core.MemberRole{p[0].user: core.MemberOwner, p[1].user: core.MemberMember}
	snapshot, err := MakeSnapshot("lobby", true, who)
	ok(t, err)
	m, err := MakeFounding(FoundingConfig{Room: "lobby", By: p[0], At: start, Encrypted: true, Snapshot: snapshot})
	ok(t, err)
	if m.Role(p[1].user) != core.MemberMember || len(m.People()) != 2 {
		t.Errorf("%+v", m.People())
	}
	founding := statements(m)
	read := func(state []byte) error {
		_, err := ReadMembership(MembershipSource{Room: "lobby", State: state, Statements: founding})
		return err
	}
	ok(t, read(snapshot))
	who[p[2].user] = core.MemberMember
	ghosts, err := MakeSnapshot("lobby", true, who)
	ok(t, err)
	refused(t, read(ghosts), ErrChain)
	refused(t, read(nil), ErrChain)
	_, err = MakeFounding(FoundingConfig{Room: "lobby", By: p[1], At: start, Encrypted: true, Snapshot: snapshot})
	refused(t, err, ErrRight)
	_, err = MakeFounding(FoundingConfig{Room: "lobby", By: p[0], At: start, Snapshot: snapshot})
	refused(t, err, ErrFormat)
	_, err = MakeFounding(FoundingConfig{Room: "lobby", By: p[0], At: start, Encrypted: true, Snapshot: m.State()})
	refused(t, err, ErrFormat)
	delete(who, p[0].user)
	_, err = MakeSnapshot("lobby", true, who)
	invalid(t, err)
}

func TestMistakesInStatements(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	m := founded(t, p[0])
	for name, cfg := range map[string]StatementConfig{
		"no signer":          {Kind: StatementInvite, Subject: p[1].user, Role: core.MemberMember},
		"no kind":            {By: p[0], Subject: p[1].user},
		"no such role":       {By: p[0], Kind: StatementInvite, Subject: p[1].user, Role: "king"},
		"an owner's role":    {By: p[0], Kind: StatementInvite, Subject: p[1].user, Role: core.MemberOwner},
		"a role for a leave": {By: p[0], Kind: StatementLeave, Role: core.MemberMember},
		"another's leave":    {By: p[0], Kind: StatementLeave, Subject: p[1].user},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.Sign(cfg)
			invalid(t, err)
		})
	}
	_, err := MakeFounding(FoundingConfig{Room: "_", By: p[0]})
	invalid(t, err)
	_, err = MakeFounding(FoundingConfig{Room: "lobby", By: liar{p[0], p[1].user}})
	refused(t, err, ErrStatement)
	for _, kind := range []StatementKind{StatementAccept, StatementDecline} {
		_, err = m.Sign(StatementConfig{By: p[1], Kind: kind})
		refused(t, err, ErrRight)
	}
}

// liar signs with its own key for another user.
type liar struct {
	person
	as core.UserID
}

func (l liar) Public() string { return string(l.as) }

// TestInvitedUsersAnswerUnseen: an answer is signed over what the node says of the head.
func TestInvitedUsersAnswerUnseen(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	m := founded(t, p[0])
	i := step(t, m, StatementInvite, p[0], p[1], core.MemberMember)
	answer := AnswerConfig{Invitation: i, Head: m.Head(), Accept: true, By: p[1], At: start}
	s, err := SignAnswer(answer)
	ok(t, err)
	no := answer
	no.Accept = false
	s2, err := SignAnswer(no)
	ok(t, err)
	_, err = copyOf(t, m).Append(s2.raw)
	ok(t, err)
	_, err = m.Append(s.raw)
	ok(t, err)
	if m.Role(p[1].user) != core.MemberMember || !m.Vouched(p[0].user) || !m.Vouched(p[1].user) || m.Vouched("U") {
		t.Error("the answer does not count")
	}
	answer.By = p[0]
	_, err = SignAnswer(answer)
	invalid(t, err)
	answer.By, answer.Head = p[1], MembershipHead{7, Hash{7}} // the node lies
	s, err = SignAnswer(answer)
	ok(t, err)
	_, err = m.Append(s.raw)
	refused(t, err, ErrGap)
}

// TestLargeRooms: 10,000 members; and the state comes back the same.
func TestLargeRooms(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	members := map[core.UserID]core.MemberRole{ann.user: core.MemberOwner}
	for i := range 10_000 {
		members[userID(t, i)] = core.MemberMember
	}
	snapshot, err := MakeSnapshot("lobby", true, members)
	ok(t, err)
	began := time.Now()
	m, err := MakeFounding(FoundingConfig{Room: "lobby", By: ann, At: start, Encrypted: true, Snapshot: snapshot})
	ok(t, err)
	step(t, m, StatementCheckpoint, ann, ann, "")
	again, fits := parseState(m.State())
	if !fits || len(again.people) != 10_001 || string(again.encode()) != string(m.State()) {
		t.Error("the state comes back as another")
	}
	t.Logf("10,001 members, %d bytes of state, read and confirmed in %s", len(m.State()), time.Since(began))

	full := *m
	full.people = make(map[core.UserID]Person, MaxMembers)
	for i := range MaxMembers - 1 {
		full.people[core.UserID(strconv.Itoa(i))] = Person{Role: core.MemberMember}
	}
	full.people[ann.user] = Person{Role: core.MemberOwner}
	s := signed(t, m, StatementInvite, ann, newPerson(t, "one too many").user, core.MemberMember)
	refused(t, full.allows(s), ErrLimit)
}

// TestInvitationEndsWithItsInvitersRight: an invitation by an admin who is demoted, or is
// removed, ends for good. It does not count again when that person is an admin again.
func TestInvitationEndsWithItsInvitersRight(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid", "dot")
	ann, bob, cid, dot := p[0], p[1], p[2], p[3]
	for name, back := range map[string]func(t *testing.T, m *Membership){
		"demoted": func(t *testing.T, m *Membership) {
			step(t, m, StatementRole, ann, bob, core.MemberMember)
			step(t, m, StatementRole, ann, bob, core.MemberAdmin)
		},
		"demoted, then an owner": func(t *testing.T, m *Membership) {
			step(t, m, StatementRole, ann, bob, core.MemberMember)
			step(t, m, StatementRole, ann, bob, core.MemberOwner)
		},
		"removed": func(t *testing.T, m *Membership) {
			step(t, m, StatementRemove, ann, bob, "")
			joined(t, m, ann, bob, core.MemberAdmin)
		},
		"left, and promoted later": func(t *testing.T, m *Membership) {
			step(t, m, StatementLeave, bob, bob, "")
			joined(t, m, ann, bob, core.MemberMember)
			step(t, m, StatementRole, ann, bob, core.MemberAdmin)
		},
	} {
		m := founded(t, ann)
		joined(t, m, ann, bob, core.MemberAdmin)
		step(t, m, StatementInvite, bob, cid, core.MemberMember)
		step(t, m, StatementInvite, ann, dot, core.MemberMember)
		accept := signed(t, m, StatementAccept, cid, cid.user, core.MemberMember)
		back(t, m)
		accept.Seq, accept.Prev = m.head.Seq+1, m.head.Hash
		again, err := accept.sign(cid)
		ok(t, err)
		if _, err := m.Append(again.raw); !errors.Is(err, ErrRight) {
			t.Errorf("%s: the invitation counts again: %v", name, err)
		}
		if _, is := m.Person(cid.user); is {
			t.Errorf("%s: cid is still invited", name)
		}
		if got := m.Since(m.head.Seq - 1)[0].Lapsed; !slices.Equal(got, []core.UserID{cid.user}) {
			t.Errorf("%s: the statement ends the invitations of %v", name, got)
		}
		step(t, copyOf(t, m), StatementAccept, dot, dot, "") // ann's stays
		joined(t, m, bob, cid, core.MemberMember)            // and bob may invite anew
	}

	m := founded(t, ann)
	joined(t, m, ann, bob, core.MemberAdmin)
	step(t, m, StatementRole, ann, bob, core.MemberOwner)
	step(t, m, StatementInvite, bob, cid, core.MemberMember)
	step(t, m, StatementInvite, bob, dot, core.MemberAdmin)
	step(t, m, StatementRole, ann, bob, core.MemberAdmin) // may still invite cid
	step(t, m, StatementRole, ann, bob, core.MemberOwner)
	if _, is := m.Person(dot.user); is {
		t.Error("dot's invitation counts again")
	}
	step(t, m, StatementAccept, cid, cid, "")
}
