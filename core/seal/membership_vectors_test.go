package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"unibus/core"
)

const (
	membershipFile       = "membership.json"
	endedInvitationsFile = "ended_invitations.json" // the same, with invitations that end with their inviter's right
)

// membershipVectors are frozen, as the others are. Values without randomness must
// come out the same; testdata/membership_reader.py reads all of them, too.
type membershipVectors struct {
	Room       core.RoomID          `json:"room"`
	People     []signerVector       `json:"people"`
	Statements []statementVector    `json:"statements"`
	States     []stateVector        `json:"states"`   // of each statement
	Records    []memberRecordVector `json:"records"`  // in order
	Snapshot   snapshotVector       `json:"snapshot"` // another room's
	Refused    []refusalVector      `json:"refused"`
}

type signerVector struct {
	Seed string      `json:"seed"` // nkey
	User core.UserID `json:"user"`
}

type statementVector struct {
	Kind      StatementKind   `json:"kind"`
	Role      core.MemberRole `json:"role"`
	Subject   core.UserID     `json:"subject"`
	Signer    core.UserID     `json:"signer"`
	Time      core.Millis     `json:"time"`
	Epoch     core.Epoch      `json:"epoch"`
	Record    Hash            `json:"record"`
	Ref       Hash            `json:"ref"`
	Hash      Hash            `json:"hash"`
	Statement []byte          `json:"statement"`
}

type stateVector struct {
	State []byte `json:"state"`
	Hash  Hash   `json:"hash"`
}

type memberRecordVector struct {
	Seq    uint64           `json:"seq"` // of the statement that it was made after
	Maker  core.UserID      `json:"maker"`
	Hash   Hash             `json:"hash"`
	Record core.EpochRecord `json:"record"`
}

type snapshotVector struct {
	Room     core.RoomID `json:"room"`
	Snapshot []byte      `json:"snapshot"`
	Founding []byte      `json:"founding"`
	Hash     Hash        `json:"hash"`
}

// refusalVector is a statement that comes after the one of a number, and must be refused.
type refusalVector struct {
	Why       string `json:"why"`
	After     uint64 `json:"after"`
	Fault     Fault  `json:"fault"`
	Statement []byte `json:"statement"`
}

func readMembershipVectors(t *testing.T, file string, statements, records, refused int) *membershipVectors {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	ok(t, err)
	v := &membershipVectors{}
	ok(t, json.Unmarshal(data, v))
	if len(v.Statements) < statements || len(v.States) != len(v.Statements) || len(v.Records) < records || len(v.Refused) < refused {
		t.Fatal("there are too few vectors")
	}
	return v
}

func TestMembershipVectors(t *testing.T) {
	t.Parallel()
	readMembershipVectors(t, membershipFile, 20, 2, 15).checkAll(t)
	readMembershipVectors(t, endedInvitationsFile, 19, 0, 7).checkAll(t)
}

// checkAll signs everything again, and compares what it leads to.
func (v *membershipVectors) checkAll(t *testing.T) {
	t.Helper()
	signers := map[core.UserID]person{}
	for _, p := range v.People {
		signers[p.User] = personOf(t, []byte(p.Seed), make([]byte, 32))
	}
	var m *Membership
	for i, want := range v.Statements {
		s := Statement{
			Room: v.Room, Seq: uint64(i), Time: want.Time, Epoch: want.Epoch, Record: want.Record, Kind: want.Kind, Role: want.Role,
			Ref: want.Ref, Subject: want.Subject, Signer: want.Signer,
		}
		if m != nil {
			s.Prev = m.head.Hash
		}
		s, err := s.sign(signers[want.Signer])
		ok(t, err)
		if !bytes.Equal(s.raw, want.Statement) || s.Hash != want.Hash {
			t.Fatalf("statement %d is signed in another way than before", i)
		}
		if m == nil {
			m, err = ReadMembership(MembershipSource{Room: v.Room, Statements: [][]byte{want.Statement}})
		} else {
			_, err = m.Append(want.Statement)
		}
		ok(t, err)
		if state := m.State(); !bytes.Equal(state, v.States[i].State) || stateHash(state) != v.States[i].Hash {
			t.Errorf("statement %d leads to other members than before", i)
		}
		v.check(t, m, uint64(i))
	}
	snapshot, err := ReadMembership(MembershipSource{Room: v.Snapshot.Room, State: v.Snapshot.Snapshot, Statements: [][]byte{v.Snapshot.Founding}})
	ok(t, err)
	if snapshot.founding != v.Snapshot.Hash || stateHash(v.Snapshot.Snapshot) == v.Snapshot.Hash {
		t.Error("the founding with a snapshot has another hash than before")
	}
}

// check reads the records and the refused statements that belong after one.
func (v *membershipVectors) check(t *testing.T, m *Membership, seq uint64) {
	t.Helper()
	for _, r := range v.Records {
		if r.Seq != seq {
			continue
		}
		got, err := VerifyRecord(r.Record)
		ok(t, err)
		if got.Hash != r.Hash || got.Maker != r.Maker || got.Members == nil || *got.Members != m.head {
			t.Errorf("the record of epoch %d is %+v", got.Epoch, got)
		}
		follow(t, m, got)
	}
	for _, r := range v.Refused {
		if r.After != seq {
			continue
		}
		if _, err := m.Append(r.Statement); !errors.Is(err, r.Fault) {
			t.Errorf("%s: %v, want %q", r.Why, err, r.Fault)
		}
	}
}

// TestSecondReader has a reader in another language, made from DESIGN.md alone, read the
// vectors: an error of this package that its own tests share is found by it.
func TestSecondReader(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here: the second reader of the membership vectors was not run")
	}
	for _, file := range []string{membershipFile, endedInvitationsFile} {
		out, err := exec.CommandContext(t.Context(), python, "-I", filepath.Join("testdata", "membership_reader.py"), filepath.Join("testdata", file)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
	}
}

// TestWriteMembershipVectors writes the files anew: go test -run WriteMembershipVectors -update-vectors.
func TestWriteMembershipVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are frozen")
	}
	writeMembershipVectors(t, membershipFile, (*vectorWriter).write)
}

// TestWriteEndedInvitationVectors writes the other file anew.
func TestWriteEndedInvitationVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are frozen")
	}
	writeMembershipVectors(t, endedInvitationsFile, (*vectorWriter).writeEnded)
}

func writeMembershipVectors(t *testing.T, file string, write func(*vectorWriter, *testing.T, []person)) {
	t.Helper()
	p := roster(t, "ann", "bob", "cid", "dot", "ghost")
	v := &membershipVectors{Room: "lobby", Records: []memberRecordVector{}}
	for _, who := range p {
		seed, err := who.Seed()
		ok(t, err)
		v.People = append(v.People, signerVector{string(seed), who.user})
	}
	w := &vectorWriter{v: v, m: founded(t, p[0])}
	w.note(t)
	write(w, t, p)
	snapshot, err := MakeSnapshot("attic", true, map[core.UserID]core.MemberRole{p[0].user: core.MemberOwner, p[1].user: core.MemberAdmin})
	ok(t, err)
	attic, err := MakeFounding(FoundingConfig{Room: "attic", By: p[0], At: start, Encrypted: true, Snapshot: snapshot})
	ok(t, err)
	v.Snapshot = snapshotVector{"attic", snapshot, attic.log[0].raw, attic.founding}
	data, err := json.MarshalIndent(v, "", "  ")
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join("testdata", file), append(data, '\n'), 0o644))
}

// vectorWriter makes the vectors' history.
type vectorWriter struct {
	v    *membershipVectors
	m    *Membership
	last *EpochKey
}

// note adds the head of the chain.
func (w *vectorWriter) note(t *testing.T) {
	t.Helper()
	s, _, _ := parseStatement(w.m.log[len(w.m.log)-1].raw)
	w.v.Statements = append(w.v.Statements, statementVector{s.Kind, s.Role, s.Subject, s.Signer, s.Time, s.Epoch, s.Record, s.Ref, s.Hash, s.raw})
	w.v.States = append(w.v.States, stateVector{w.m.State(), stateHash(w.m.State())})
}

func (w *vectorWriter) step(t *testing.T, kind StatementKind, by, about person, role core.MemberRole) {
	t.Helper()
	cfg := StatementConfig{Kind: kind, By: by, Subject: about.user, Role: role, At: start + core.Millis(w.m.head.Seq)*1000}
	if w.last != nil {
		cfg.Record = &w.last.record
	}
	s, err := w.m.Sign(cfg)
	ok(t, err)
	_, err = w.m.Append(s.raw)
	ok(t, err)
	w.note(t)
}

func (w *vectorWriter) rekey(t *testing.T, by person, members ...person) {
	t.Helper()
	made := rekeyFor(t, w.m, w.last, by, members...)
	follow(t, w.m, made.Key.record)
	w.last = made.Key
	w.v.Records = append(w.v.Records, memberRecordVector{w.m.head.Seq, by.user, made.Key.record.Hash, made.Record})
}

// refuse adds a statement that is refused now; change makes it another one before it is signed.
func (w *vectorWriter) refuse(t *testing.T, why string, kind StatementKind, by, about person, role core.MemberRole, change func(*Statement)) {
	t.Helper()
	s := signed(t, w.m, kind, by, about.user, role)
	if change != nil {
		change(&s)
		body := s.appendBody(nil)
		sig, err := by.Sign(signedBytes(labelStatement, body))
		ok(t, err)
		s.raw = append(body, sig...)
	}
	w.refuseBytes(t, why, s.raw)
}

func (w *vectorWriter) refuseBytes(t *testing.T, why string, b []byte) {
	t.Helper()
	_, err := w.m.Append(b)
	var fault Fault
	if proof := new(ForkProof); errors.As(err, &proof) {
		fault = ErrFork
	} else if !errors.As(err, &fault) {
		t.Fatalf("%s: %v", why, err)
	}
	w.v.Refused = append(w.v.Refused, refusalVector{why, w.m.head.Seq, fault, b})
}

// write is the history, with every kind of statement and of refusal.
func (w *vectorWriter) write(t *testing.T, p []person) {
	t.Helper()
	ann, bob, cid, dot, ghost := p[0], p[1], p[2], p[3], p[4]
	w.refuse(t, "the last owner leaves", StatementLeave, ann, ann, "", nil)
	w.refuse(t, "a ghost invites", StatementInvite, ghost, dot, core.MemberMember, nil)
	w.step(t, StatementInvite, ann, bob, core.MemberAdmin)
	w.refuse(t, "accepted in another role", StatementAccept, bob, bob, core.MemberMember, nil)
	w.step(t, StatementAccept, bob, bob, "")
	w.rekey(t, ann, ann, bob)
	w.refuse(t, "an admin invites an admin", StatementInvite, bob, cid, core.MemberAdmin, nil)
	w.step(t, StatementInvite, bob, cid, core.MemberMember)
	w.refuse(t, "another invitation is answered", StatementAccept, cid, cid, core.MemberMember, func(s *Statement) { s.Ref = Hash{1} })
	w.refuse(t, "another answers", StatementAccept, dot, dot, core.MemberMember, func(s *Statement) { s.Subject = cid.user })
	w.step(t, StatementAccept, cid, cid, "")
	w.refuse(t, "accepted twice", StatementAccept, cid, cid, core.MemberMember, func(s *Statement) { s.Ref = w.v.Statements[3].Hash })
	w.refuse(t, "a member removes", StatementRemove, cid, bob, "", nil)
	w.refuse(t, "an admin removes an owner", StatementRemove, bob, ann, "", nil)
	w.refuse(t, "not signed by its signer", StatementInvite, ghost, dot, core.MemberMember, func(s *Statement) { s.Signer = ann.user })
	w.refuse(t, "another room", StatementInvite, ann, dot, core.MemberMember, func(s *Statement) { s.Room = "attic" })
	w.refuse(t, "a number is left out", StatementInvite, ann, dot, core.MemberMember, func(s *Statement) { s.Seq++ })
	w.refuse(t, "another statement before it", StatementInvite, ann, dot, core.MemberMember, func(s *Statement) { s.Prev[0] ^= 1 })
	w.refuse(t, "another one of a number that is known", StatementInvite, ann, dot, core.MemberMember, func(s *Statement) {
		s.Seq, s.Prev = w.m.head.Seq, w.m.log[w.m.head.Seq-1].hash
	})
	w.refuse(t, "an owner by invitation", StatementInvite, ann, dot, core.MemberMember, func(s *Statement) { s.Role = core.MemberOwner })
	w.refuse(t, "a role for a departure", StatementLeave, cid, cid, "", func(s *Statement) { s.Role = core.MemberMember })
	w.refuse(t, "an epoch without a record", StatementLeave, cid, cid, "", func(s *Statement) { s.Epoch = 2; s.Record = Hash{} })
	w.refuseBytes(t, "a byte more", append(bytes.Clone(w.v.Statements[4].Statement), 0))
	w.step(t, StatementCheckpoint, ann, ann, "")
	w.refuse(t, "a checkpoint by an admin", StatementCheckpoint, bob, bob, "", nil)
	w.refuse(t, "a checkpoint of other members", StatementCheckpoint, ann, ann, "", func(s *Statement) { s.Ref = Hash{1} })
	w.refuse(t, "the epoch falls", StatementLeave, cid, cid, "", func(s *Statement) { s.Epoch, s.Record = 0, Hash{} })
	w.refuse(t, "another record of the epoch", StatementLeave, cid, cid, "", func(s *Statement) { s.Record = Hash{1} })
	w.step(t, StatementRole, ann, bob, core.MemberOwner)
	w.refuse(t, "the role that its member has", StatementRole, ann, bob, core.MemberOwner, nil)
	w.step(t, StatementRole, bob, ann, core.MemberAdmin)
	w.refuse(t, "a demoted owner makes an owner", StatementRole, ann, cid, core.MemberOwner, nil)
	w.step(t, StatementInvite, bob, dot, core.MemberMember)
	w.step(t, StatementInvite, ann, dot, core.MemberMember)
	w.step(t, StatementDecline, dot, dot, "")
	w.step(t, StatementInvite, ann, dot, core.MemberMember)
	w.step(t, StatementRole, bob, ann, core.MemberMember)
	w.refuse(t, "an invitation of an admin who is none any more", StatementAccept, dot, dot, core.MemberMember, nil)
	w.step(t, StatementRemove, bob, dot, "")
	w.step(t, StatementLeave, cid, cid, "")
	w.rekey(t, bob, ann, bob)
	w.refuse(t, "a former member signs", StatementLeave, cid, cid, "", nil)
	w.step(t, StatementInvite, bob, cid, core.MemberMember)
	w.step(t, StatementAccept, cid, cid, "")
	w.step(t, StatementRemove, bob, ann, "")
	w.step(t, StatementCheckpoint, bob, bob, "")
	w.step(t, StatementInvite, bob, dot, core.MemberAdmin)
}

// writeEnded is a history of inviters who lose the right to invite and have it again.
func (w *vectorWriter) writeEnded(t *testing.T, p []person) {
	t.Helper()
	ann, bob, cid, dot, ghost := p[0], p[1], p[2], p[3], p[4]
	invited := func(who person) Hash { return w.m.people[who.user].ref }
	accepts := func(why string, who person, role core.MemberRole, ref Hash) {
		w.refuse(t, why, StatementAccept, who, who, role, func(s *Statement) { s.Ref = ref })
	}
	w.step(t, StatementInvite, ann, bob, core.MemberAdmin)
	w.step(t, StatementAccept, bob, bob, "")
	w.step(t, StatementInvite, bob, cid, core.MemberMember)
	ofBob := invited(cid)
	w.step(t, StatementInvite, ann, dot, core.MemberMember)
	w.step(t, StatementRole, ann, bob, core.MemberMember)
	accepts("of an admin who was demoted", cid, core.MemberMember, ofBob)
	w.step(t, StatementRole, ann, bob, core.MemberAdmin) // cid's invitation ends, dot's stays
	accepts("of one who is an admin again", cid, core.MemberMember, ofBob)
	w.step(t, StatementAccept, dot, dot, "")
	w.step(t, StatementInvite, bob, cid, core.MemberMember)
	ofBob = invited(cid)
	w.step(t, StatementRemove, ann, bob, "")
	accepts("of an admin who was removed", cid, core.MemberMember, ofBob)
	w.step(t, StatementInvite, ann, bob, core.MemberMember)
	w.step(t, StatementAccept, bob, bob, "") // a member may not invite: it is still there, and nobody can accept it
	accepts("of an admin who came back as a member", cid, core.MemberMember, ofBob)
	w.step(t, StatementRole, ann, bob, core.MemberOwner) // ended
	accepts("of one who came back and is an owner", cid, core.MemberMember, ofBob)
	w.step(t, StatementInvite, bob, cid, core.MemberAdmin)
	w.step(t, StatementInvite, bob, ghost, core.MemberMember)
	ofBob = invited(cid)
	w.step(t, StatementRole, ann, bob, core.MemberAdmin)
	accepts("to the role admin, of an owner who is an admin", cid, core.MemberAdmin, ofBob)
	w.step(t, StatementRole, ann, bob, core.MemberOwner) // cid's ends, and ghost's was allowed all the time
	accepts("to the role admin, of one who is an owner again", cid, core.MemberAdmin, ofBob)
	w.step(t, StatementAccept, ghost, ghost, "")
	w.step(t, StatementCheckpoint, bob, bob, "")
}
