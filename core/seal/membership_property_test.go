package seal

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"unibus/core"
)

// lyingNode keeps every statement that it was ever given, and shows each client what
// it likes, in any order.
type lyingNode struct {
	statements [][]byte
}

// member is a member's program: it believes what its own chain accepts.
type member struct {
	person
	chain *Membership
	forks int
}

// TestHistoriesArePrefixesOfOneChain: several members sign at random over what each has
// followed, and the node reorders, withholds, repeats and branches at will. Each
// client's history is a valid chain from the founding; and of any two clients one has a
// prefix of the other's, or comparing heads or any record shows the fork.
func TestHistoriesArePrefixesOfOneChain(t *testing.T) {
	t.Parallel()
	people := roster(t, "ann", "bob", "cid", "dot", "ghost")
	rapid.Check(t, func(t *rapid.T) {
		node := &lyingNode{}
		founding := founded(t, people[0])
		node.statements = append(node.statements, founding.log[0].raw)
		var all []*member
		for _, p := range people {
			all = append(all, &member{person: p, chain: copyOf(t, founding)})
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m := rapid.SampledFrom(all).Draw(t, "client")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				m.signSomething(t, node, people)
			case 1: // the node shows any one
				m.shown(t, rapid.SampledFrom(node.statements).Draw(t, "shown"))
			default: // the node shows all that it has, in one order or the other
				for i := range node.statements {
					if rapid.Bool().Draw(t, "backwards") {
						i = len(node.statements) - 1 - i
					}
					m.shown(t, node.statements[i])
				}
			}
		}
		for _, a := range all {
			checkHistory(t, a)
			for _, b := range all {
				comparePair(t, a, b)
			}
		}
	})
}

// signSomething signs over what this client has followed, and gives it to the node.
func (m *member) signSomething(t *rapid.T, node *lyingNode, people []person) {
	about := rapid.SampledFrom(people).Draw(t, "about")
	kind := StatementKind(rapid.IntRange(int(StatementInvite), int(StatementCheckpoint)).Draw(t, "kind"))
	role := rapid.SampledFrom([]core.MemberRole{"", core.MemberMember, core.MemberAdmin, core.MemberOwner}).Draw(t, "role")
	if kind.isAboutSigner() {
		about, role = m.person, ""
	}
	s, err := m.chain.Sign(StatementConfig{Kind: kind, Subject: about.user, Role: role, By: m.person, At: start})
	if err != nil {
		return // it may not, or the kind has no such role
	}
	node.statements = append(node.statements, s.raw)
	if rapid.Bool().Draw(t, "acknowledged") {
		m.shown(t, s.raw)
	}
}

// shown is a statement from the node. A refusal changes nothing.
func (m *member) shown(t *rapid.T, b []byte) {
	before := m.chain.Mark()
	_, err := m.chain.Append(b)
	switch after := m.chain.Mark(); {
	case err != nil && after != before:
		t.Fatalf("%v, and the head is %+v", err, after)
	case err == nil && after != before && after.Head.Seq != before.Head.Seq+1:
		t.Fatalf("from %d to %d", before.Head.Seq, after.Head.Seq)
	case errors.Is(err, ErrFork):
		m.forks++
		if proof := new(ForkProof); errors.As(err, &proof) {
			ok(t, proof.Check())
		}
	}
}

// checkHistory reads a client's history as a stranger would.
func checkHistory(t *rapid.T, m *member) {
	again, err := ReadMembership(MembershipSource{Room: "lobby", Statements: statements(m.chain)})
	if err != nil {
		t.Fatalf("an accepted history is refused: %v", err)
	}
	if again.Mark() != m.chain.Mark() || string(again.State()) != string(m.chain.State()) {
		t.Fatal("an accepted history leads elsewhere")
	}
	if m.chain.owners < 1 {
		t.Fatal("the room has no owner")
	}
	for user := range m.chain.people { // nobody is in the room without a statement of a member
		if user != m.chain.founder() && !invitedBySomebody(m.chain, user) {
			t.Fatalf("%s came into the room by itself", user)
		}
	}
}

func (m *Membership) founder() core.UserID { return core.UserID(m.log[0].signer()) }

func invitedBySomebody(m *Membership, user core.UserID) bool {
	for _, l := range m.log {
		if l.kind() == StatementInvite && l.subject() == string(user) && l.signer() != string(user) {
			return true
		}
	}
	return false
}

// comparePair: one history is a prefix of the other, or the fork is found.
func comparePair(t *rapid.T, a, b *member) {
	short, long := a.chain, b.chain
	if short.head.Seq > long.head.Seq {
		short, long = long, short
	}
	prefix := long.log[short.head.Seq].hash == short.head.Hash
	forked := long.Check(short.Head())
	if short.head.Seq == long.head.Seq && prefix != (forked == nil) {
		t.Fatalf("heads are compared: %v", forked)
	}
	if prefix {
		return
	}
	found := fmt.Errorf("no statement shows it")
	for _, l := range short.log {
		if _, err := long.Append(l.raw); err != nil {
			found = err
			break
		}
	}
	if proof := new(ForkProof); !errors.Is(found, ErrFork) || !errors.As(found, &proof) || proof.Check() != nil {
		t.Fatalf("two histories that fork, and the proof is %v", found)
	}
	record := Record{Place: Place{"lobby", 1, "a"}, Maker: short.founder(), Members: &short.head}
	if err := long.CheckRecord(record); !errors.Is(err, ErrFork) {
		t.Fatalf("a record across the fork: %v", err)
	}
}

// FuzzStatement: each statement that is read has one form, and only signed ones are accepted.
func FuzzStatement(f *testing.F) {
	ann, bob := newPerson(f, "ann"), newPerson(f, "bob")
	m := founded(f, ann)
	good := signed(f, m, StatementInvite, ann, bob.user, core.MemberMember)
	f.Add(good.raw)
	f.Add(m.log[0].raw)
	f.Add(signed(f, m, StatementCheckpoint, ann, ann.user, "").raw)
	f.Add(good.raw[:70])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, sig, fits := parseStatement(b)
		if fits && string(append(s.appendBody(nil), sig...)) != string(b) {
			t.Error("two forms of one statement")
		}
		if fits {
			l := logged{raw: b}
			if l.subject() != string(s.Subject) || l.signer() != string(s.Signer) || l.kind() != s.Kind || l.epoch() != s.Epoch || l.record() != s.Record {
				t.Error("the fixed places are others")
			}
		}
		reader := copyOf(t, m)
		before := reader.Mark()
		_, err := reader.Append(b)
		if moved := reader.Mark() != before; moved != (err == nil && !isKnown(m, b)) {
			t.Errorf("moved %v: %v", moved, err)
		}
		_, _ = ReadMembership(MembershipSource{Room: "lobby", State: b, Statements: [][]byte{b}})
	})
}

func isKnown(m *Membership, b []byte) bool { return string(m.log[0].raw) == string(b) }

// FuzzMemberState: each state that is read has one form.
func FuzzMemberState(f *testing.F) {
	ann, bob := newPerson(f, "ann"), newPerson(f, "bob")
	m := founded(f, ann)
	f.Add(m.State())
	step(f, m, StatementInvite, ann, bob, core.MemberMember)
	f.Add(m.State())
	f.Add(m.State()[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, fits := parseState(b)
		if fits && string(m.encode()) != string(b) {
			t.Error("two forms of one state")
		}
		if fits && m.owners < 1 {
			t.Error("a room without an owner")
		}
	})
}
