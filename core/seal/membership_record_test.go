package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// userID is the id of a user whose key nobody has.
func userID(t testing.TB, i int) core.UserID {
	t.Helper()
	raw := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	id, err := nkeys.Encode(nkeys.PrefixByteUser, raw[:])
	ok(t, err)
	return core.UserID(id)
}

// rekeyFor makes the record after prev for the members of a chain.
func rekeyFor(t testing.TB, m *Membership, prev *EpochKey, by person, members ...person) Rekeyed {
	t.Helper()
	cfg := RecordConfig{
		Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(members...), By: by, At: start, Reason: ReasonFirst, PrevKey: prev, Chain: m,
	}
	if prev != nil {
		cfg.Epoch, cfg.Reason = prev.record.Epoch+1, ReasonRemoved
	}
	out, err := MakeRecord(cfg)
	ok(t, err)
	return out
}

// follow follows a record that the members stand behind.
func follow(t *testing.T, m *Membership, r Record) {
	t.Helper()
	ok(t, m.CheckRecord(r))
	m.NoteRecord(r)
}

// TestRecordsAreMadeForTheMembers of the chain, and every reader checks it.
func TestRecordsAreMadeForTheMembers(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid", "ghost")
	ann, bob, cid, ghost := p[0], p[1], p[2], p[3]
	m := founded(t, ann)
	joined(t, m, ann, bob, core.MemberMember)
	_, err := MakeRecord(RecordConfig{
		Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann, ghost), By: ann, At: start, Reason: ReasonFirst, Chain: m,
	})
	refused(t, err, ErrRight) // the ghost gets no box, whoever asks for it
	step(t, m, StatementInvite, ann, cid, core.MemberMember)
	_, err = MakeRecord(RecordConfig{
		Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann, cid), By: ann, At: start, Reason: ReasonFirst, Chain: m,
	})
	refused(t, err, ErrRight) // nor an invited user

	first := rekeyFor(t, m, nil, ann, ann, bob)
	reader := copyOf(t, m)
	follow(t, reader, first.Key.record)
	follow(t, reader, first.Key.record)
	if reader.MustRekey() {
		t.Error("a key is due although nobody has left")
	}
	c := NewChain("lobby")
	_, err = c.TrustFirst(first.Record)
	ok(t, err)
	head, _ := c.Head()
	if head.Members == nil || *head.Members != m.Head() {
		t.Errorf("the head is %+v", head)
	}
	s, err := m.Sign(StatementConfig{Kind: StatementRemove, By: ann, Subject: bob.user, At: start, Record: &first.Key.record})
	ok(t, err)
	for _, r := range []*Membership{m, reader} {
		_, err = r.Append(s.raw)
		ok(t, err)
	}
	if s.Epoch != 1 || s.Record != first.Key.record.Hash || !reader.MustRekey() {
		t.Errorf("after the removal: %s at epoch %d, due %v", s, s.Epoch, reader.MustRekey())
	}
	second := rekeyFor(t, m, first.Key, ann, ann)
	follow(t, reader, second.Key.record)
	_, err = c.Advance(second.Record, first.Key)
	ok(t, err)
	if reader.MustRekey() {
		t.Error("a key is due although there is a new one")
	}
	reader.Compact()
	follow(t, reader, second.Key.record)
	_, err = reader.Append(first.Record.Record)
	refused(t, err, ErrFormat)
	_, err = reader.Append(statements(m)[1])
	refused(t, err, ErrRollback)
}

// TestRecordsThatMembersDoNotStandBehind: each is refused by its own error.
func TestRecordsThatMembersDoNotStandBehind(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "ghost")
	ann, bob, ghost := p[0], p[1], p[2]
	m := founded(t, ann)
	ghosts := founded(t, ghost)
	step(t, ghosts, StatementCheckpoint, ghost, ghost, "")
	step(t, ghosts, StatementCheckpoint, ghost, ghost, "")
	before := copyOf(t, m)
	joined(t, m, ann, bob, core.MemberMember)
	first := rekeyFor(t, m, nil, ann, ann, bob)
	record := func(by person, prev *EpochKey, change func(*RecordConfig)) Record {
		cfg := RecordConfig{
			Room: "lobby", Epoch: 2, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(by), By: by, At: start, Reason: ReasonAge, PrevKey: prev, Chain: m,
		}
		change(&cfg)
		r, err := MakeRecord(cfg)
		ok(t, err)
		return r.Key.record
	}
	named := copyOf(t, m) // a statement names epoch 2 already
	s, err := named.Sign(StatementConfig{Kind: StatementCheckpoint, By: ann, Record: &Record{Place: Place{Epoch: 2}, Hash: Hash{2}}})
	ok(t, err)
	_, err = named.Append(s.raw)
	ok(t, err)
	left := copyOf(t, m)
	step(t, left, StatementLeave, bob, bob, "")
	for name, c := range map[string]struct {
		reader *Membership
		record Record
		want   Fault
	}{
		"of version 1":                   {m, record(ann, first.Key, func(c *RecordConfig) { c.Chain = nil }), ErrRollback},
		"by a ghost":                     {m, record(ghost, first.Key, func(c *RecordConfig) { c.Chain = ghosts }), ErrFork},
		"after a statement to come":      {before, first.Key.record, ErrGap},
		"older than the one before":      {m, record(ann, first.Key, func(c *RecordConfig) { c.Chain = before }), ErrRollback},
		"another one of the epoch":       {m, record(ann, nil, func(c *RecordConfig) { c.Epoch = 1 }), ErrFork},
		"a statement names another":      {named, record(ann, first.Key, func(*RecordConfig) {}), ErrFork},
		"after a statement of its epoch": {named, record(ann, first.Key, func(c *RecordConfig) { c.Chain = named }), ErrChain},
		"by a member who had left":       {left, madeBy(record(ann, first.Key, func(c *RecordConfig) { c.Chain = left }), bob), ErrRight},
	} {
		t.Run(name, func(t *testing.T) {
			reader := copyOf(t, c.reader)
			if c.reader != before {
				follow(t, reader, first.Key.record)
			}
			refused(t, reader.CheckRecord(c.record), c.want)
		})
	}
	knows := copyOf(t, m)
	follow(t, knows, first.Key.record)
	for what, hash := range map[string]Hash{"another record": {9}, "the record": first.Key.record.Hash} {
		s, err := copyOf(t, m).Sign(StatementConfig{Kind: StatementCheckpoint, By: ann, Record: &Record{Place: Place{Epoch: 1}, Hash: hash}})
		ok(t, err)
		if _, err = knows.Append(s.raw); errors.Is(err, ErrFork) != (what == "another record") {
			t.Errorf("a statement that names %s: %v", what, err)
		}
	}
	late := copyOf(t, m) // made before its maker left: that record counts
	made := record(bob, first.Key, func(*RecordConfig) {})
	step(t, late, StatementLeave, bob, bob, "")
	follow(t, late, made)
	if !late.MustRekey() {
		t.Error("its maker has left and knows the key")
	}
	invalid(t, m.CheckRecord(Record{Place: Place{Room: "attic"}, Members: &MembershipHead{}}))
	wrong := record(ann, first.Key, func(c *RecordConfig) { c.Chain = nil })
	refused(t, wrong.follows(headOf(first.Key.record)), ErrRollback)
	older := record(ann, first.Key, func(c *RecordConfig) { c.Chain = before })
	refused(t, older.follows(headOf(first.Key.record)), ErrRollback)
	attic, err := MakeFounding(FoundingConfig{Room: "attic", By: ann, At: start, Encrypted: true})
	ok(t, err)
	_, err = MakeRecord(RecordConfig{
		Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann), By: ann, At: start, Reason: ReasonFirst, Chain: attic,
	})
	invalid(t, err)
}

func madeBy(r Record, by person) Record {
	r.Maker = by.user
	return r
}

func TestEveryBitOfARecordOfMembersIsSigned(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekeyFor(t, founded(t, ann), nil, ann, ann)
	row := r.Record
	eachBit(r.Record.Record, func(what string, flipped []byte) {
		row.Record = flipped
		if _, err := VerifyRecord(row); err == nil {
			t.Errorf("%s: accepted", what)
		}
	})
	cuts(r.Record.Record, func(what string, cut []byte) {
		row.Record = cut
		if _, err := VerifyRecord(row); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// TestJoinersBeginAtACheckpoint, which their inviter's statement binds.
func TestJoinersBeginAtACheckpoint(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid", "ghost")
	ann, bob, cid, ghost := p[0], p[1], p[2], p[3]
	m := founded(t, ann)
	joined(t, m, ann, bob, core.MemberAdmin)
	state := m.State()
	old := rekeyFor(t, m, nil, ann, ann, bob).Key.record
	step(t, m, StatementCheckpoint, ann, ann, "")
	joined(t, m, bob, cid, core.MemberMember)
	from := MembershipSource{Room: "lobby", State: state, Statements: statements(m)[3:]}
	joiner, err := ReadMembership(from)
	ok(t, err)
	if joiner.Head() != m.Head() || string(joiner.State()) != string(m.State()) || joiner.Mark() != m.Mark() {
		t.Error("the joiner has other members")
	}
	if !joiner.Vouched(bob.user) || joiner.Vouched(ghost.user) {
		t.Error("the inviter's statement is not seen")
	}
	refused(t, joiner.CheckRecord(old), ErrGap)
	follow(t, joiner, rekeyFor(t, m, nil, bob, bob, cid).Key.record)
	_, err = ResumeMembership(m.Mark(), from)
	ok(t, err)
	_, err = ResumeMembership(MembershipMark{m.founding, MembershipHead{1, m.log[1].hash}}, from)
	refused(t, err, ErrGap)

	ghosts := founded(t, ghost) // a server that makes up everything
	step(t, ghosts, StatementInvite, ghost, cid, core.MemberMember)
	step(t, ghosts, StatementCheckpoint, ghost, ghost, "")
	alike := signed(t, m, StatementCheckpoint, ghost, ghost.user, "")
	alike.Seq, alike.Prev = 3, m.log[2].hash
	false1, _ := parseState(state)
	false1.put(ghost.user, Person{Role: core.MemberOwner})
	alike.Ref = stateHash(false1.encode())
	alike, err = alike.sign(ghost)
	ok(t, err)
	moved, _ := parseState(state)
	moved.head.Hash = Hash{5}
	elsewhere := signed(t, m, StatementCheckpoint, ann, ann.user, "")
	elsewhere.Seq, elsewhere.Prev, elsewhere.Ref = 3, m.log[2].hash, stateHash(moved.encode())
	elsewhere, err = elsewhere.sign(ann)
	ok(t, err)
	for name, c := range map[string]struct {
		from MembershipSource
		want Fault
	}{
		"a state of elsewhere":  {MembershipSource{Room: "lobby", State: moved.encode(), Statements: [][]byte{elsewhere.raw}}, ErrFormat},
		"another state":         {MembershipSource{Room: "lobby", State: m.State(), Statements: from.Statements}, ErrChain},
		"no state":              {MembershipSource{Room: "lobby", Statements: from.Statements}, ErrChain},
		"a ghost's checkpoint":  {MembershipSource{Room: "lobby", State: false1.encode(), Statements: append([][]byte{alike.raw}, from.Statements[1:]...)}, ErrFork},
		"an invitation is gone": {MembershipSource{Room: "lobby", State: state, Statements: [][]byte{from.Statements[0], from.Statements[2]}}, ErrGap},
		"of another room":       {MembershipSource{Room: "attic", State: state, Statements: from.Statements}, ErrStatement},
	} {
		_, err := ReadMembership(c.from)
		t.Run(name, func(t *testing.T) { refused(t, err, c.want) })
	}
}

// TestLongChains: 100,000 statements are followed, and a joiner at the last
// checkpoint reads a thousandth of them.
func TestLongChains(t *testing.T) {
	p := roster(t, "ann", "bob")
	ann, bob := newQuick(t, p[0]), newQuick(t, p[1])
	m := founded(t, p[0])
	const n = 100_000
	var state []byte
	began, at := time.Now(), 0
	for i := 1; m.head.Seq < n; i++ {
		cfg := StatementConfig{Kind: StatementInvite, By: ann, Subject: p[1].user, Role: core.MemberMember, At: start}
		switch {
		case m.CheckpointDue():
			cfg = StatementConfig{Kind: StatementCheckpoint, By: ann, At: start}
			state, at = m.State(), len(m.log)
		case m.people[p[1].user].Invited:
			cfg = StatementConfig{Kind: StatementAccept, By: bob, At: start}
		case m.roleOf(p[1].user) != "":
			cfg = StatementConfig{Kind: StatementLeave, By: bob, At: start}
		}
		s, err := m.Sign(cfg)
		ok(t, err)
		ok(t, m.follow(s))
	}
	made := time.Since(began)
	began = time.Now()
	all := statements(m)
	_, err := ReadMembership(MembershipSource{Room: "lobby", Statements: all})
	ok(t, err)
	read := time.Since(began)
	began = time.Now()
	_, err = ResumeMembership(m.Mark(), MembershipSource{Room: "lobby", Statements: all})
	ok(t, err)
	resumed := time.Since(began)
	began = time.Now()
	joiner, err := ReadMembership(MembershipSource{Room: "lobby", State: state, Statements: all[at:]})
	ok(t, err)
	joinTime := time.Since(began)
	if joiner.Head() != m.Head() {
		t.Error("the joiner is elsewhere")
	}
	t.Logf("%d statements: signed in %s, read in %s, read again after a start in %s, joined at a checkpoint %d before the end in %s",
		n, made, read, resumed, len(all)-at, joinTime)
}

// TestJoinersOwnCheckpoint: a joiner who begins at a checkpoint needs the invitation that
// was accepted among what comes after. A server that makes up an owner, a state with the
// true invitation in it and a checkpoint is found.
func TestJoinersOwnCheckpoint(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "ghost")
	ann, bob, ghost := p[0], p[1], p[2]
	m := founded(t, ann)
	state := m.State()
	at := step(t, m, StatementCheckpoint, ann, ann, "")
	invitation := step(t, m, StatementInvite, ann, bob, core.MemberMember)
	answer := func(head MembershipHead) Statement {
		s, err := SignAnswer(AnswerConfig{Invitation: invitation, Head: head, Accept: true, By: bob, At: start})
		ok(t, err)
		return s
	}
	accept := answer(m.Head())
	good, err := ReadMembership(MembershipSource{Room: "lobby", State: state, Statements: [][]byte{at.raw, invitation.raw, accept.raw}})
	ok(t, err)
	if !good.JoinedSinceStart(bob.user) || good.JoinedSinceStart(ann.user) || good.FromFounding() || good.Start() != 1 {
		t.Error("the invitation is among what came since")
	}
	made := &memberState{room: "lobby", founding: Hash{1}, head: MembershipHead{7, Hash{2}}, encrypted: true, people: map[core.UserID]Person{}}
	made.put(ghost.user, Person{Role: core.MemberOwner})
	made.put(ann.user, Person{Role: core.MemberOwner})
	made.put(bob.user, Person{Role: core.MemberMember, Invited: true, Inviter: ann.user, ref: invitation.Hash})
	ghosts := Statement{Room: "lobby", Seq: 8, Prev: made.head.Hash, Time: start, Kind: StatementCheckpoint, Ref: stateHash(made.encode()), Subject: ghost.user, Signer: ghost.user}
	ghosts, err = ghosts.sign(ghost)
	ok(t, err)
	accept = answer(MembershipHead{8, ghosts.Hash})
	bad, err := ReadMembership(MembershipSource{Room: "lobby", State: made.encode(), Statements: [][]byte{ghosts.raw, accept.raw}})
	ok(t, err)
	if bad.JoinedSinceStart(bob.user) {
		t.Error("a checkpoint of the ghost's is taken for the inviter's")
	}
}

// TestSourceOfRows: a joiner is given the newest checkpoint that is not after a statement,
// with its state, and all that came since.
func TestSourceOfRows(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	m := founded(t, p[0])
	joined(t, m, p[0], p[1], core.MemberAdmin)
	first := step(t, m, StatementCheckpoint, p[0], p[0], "")
	step(t, m, StatementRole, p[0], p[1], core.MemberOwner)
	second := step(t, m, StatementCheckpoint, p[1], p[1], "")
	step(t, m, StatementLeave, p[0], p[0], "")
	rows := values(proofs(m))
	for upto, want := range map[uint64]uint64{1 << 40: second.Seq, second.Seq: second.Seq, second.Seq - 1: first.Seq, first.Seq: first.Seq, first.Seq - 1: 0, 1: 0} {
		from, at, err := SourceOfProofs("lobby", rows, upto)
		ok(t, err)
		read, err := ReadMembership(from)
		ok(t, err)
		if at != want || read.Start() != want || read.Head() != m.Head() || string(read.State()) != string(m.State()) {
			t.Errorf("up to %d: from %d on, want %d", upto, at, want)
		}
	}
	if _, _, err := SourceOfProofs("lobby", nil, 5); core.KindOf(err) != core.KindFailed {
		t.Error(err)
	}
}

// TestEveryBitOfAStateCounts: a snapshot that a room is founded anew with, and the state of
// a checkpoint, are bound by a signature, bit by bit.
func TestEveryBitOfAStateCounts(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob")
	snapshot, err := MakeSnapshot("lobby", true, map[core.UserID]core.MemberRole{p[0].user: core.MemberOwner, p[1].user: core.MemberMember})
	ok(t, err)
	m, err := MakeFounding(FoundingConfig{Room: "lobby", By: p[0], At: start, Encrypted: true, Snapshot: snapshot})
	ok(t, err)
	state := m.State()
	at := step(t, m, StatementCheckpoint, p[0], p[0], "")
	for _, c := range []MembershipSource{
		{Room: "lobby", State: snapshot, Statements: [][]byte{m.log[0].raw}},
		{Room: "lobby", State: state, Statements: [][]byte{at.raw}},
	} {
		_, err := ReadMembership(c)
		ok(t, err)
		for i := range 8 * len(c.State) {
			bad := c
			bad.State = append([]byte(nil), c.State...)
			bad.State[i/8] ^= 1 << (i % 8)
			if _, err := ReadMembership(bad); !errors.Is(err, ErrChain) {
				t.Fatalf("bit %d: %v", i, err)
			}
		}
	}
}

// TestRefusedRecordChangesNothing: a record that was checked, and was not followed, is neither
// compared with the next one nor takes away that a key is due.
func TestRefusedRecordChangesNothing(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid")
	ann, bob, cid := p[0], p[1], p[2]
	m := founded(t, ann)
	joined(t, m, ann, bob, core.MemberMember)
	joined(t, m, ann, cid, core.MemberMember)
	first := rekeyFor(t, m, nil, ann, ann, bob, cid)
	follow(t, m, first.Key.record)
	step(t, m, StatementRemove, ann, cid, "")
	other := rekeyFor(t, m, first.Key, bob, ann, bob)
	ok(t, m.CheckRecord(other.Key.record))
	if !m.MustRekey() {
		t.Error("a record that was not followed is taken for the room's key")
	}
	next := rekeyFor(t, m, first.Key, ann, ann, bob)
	follow(t, m, next.Key.record)
	if m.MustRekey() {
		t.Error("a key is due after the new one")
	}
	refused(t, m.CheckRecord(other.Key.record), ErrFork)
}
