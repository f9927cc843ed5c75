package seal

import (
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"unibus/core"
)

// Membership follows the statements about the members of one room, one after the
// other. Its own people are the ones who may be given a key. Nothing changes with an
// error. It is not safe for concurrent use.
type Membership struct {
	memberState
	start     uint64   // seq of log[0]
	log       []logged // from the founding or a checkpoint to the head
	departure uint64   // seq of the last removal or departure of an active member; 0: none
	checked   *Record  // the newest record that NoteRecord was told of
}

// logged is a statement that was followed.
type logged struct {
	raw       []byte
	hash      Hash
	wasActive bool // its subject was an active member before it
	lapsed    []core.UserID
	inviter   core.UserID // of an acceptance: who made the invitation
}

// The end of every statement has fixed places, counted from its last byte. Reading them
// alone keeps a pass over a long log cheap.
const (
	signerEnds  = signatureSize
	subjectEnds = signerEnds + idSize
	refEnds     = subjectEnds + idSize
	kindEnds    = refEnds + hashSize + 1 // before ref and role
	recordEnds  = kindEnds + 1
	epochEnds   = recordEnds + hashSize
)

// field is the n bytes of a statement that end at a place.
func (l logged) field(ends, n int) []byte { return l.raw[len(l.raw)-ends-n : len(l.raw)-ends] }

func (l logged) signer() string      { return string(l.field(signerEnds, idSize)) }
func (l logged) subject() string     { return string(l.field(subjectEnds, idSize)) }
func (l logged) kind() StatementKind { return StatementKind(l.field(kindEnds, 1)[0]) }
func (l logged) record() Hash        { return Hash(l.field(recordEnds, hashSize)) }
func (l logged) epoch() core.Epoch   { return core.Epoch(binary.BigEndian.Uint64(l.field(epochEnds, 8))) }

// MembershipMark is what a client keeps on disk of a chain: the next process reads
// nothing that does not pass through it.
type MembershipMark struct {
	Founding Hash           `json:"founding"`
	Head     MembershipHead `json:"head"`
}

// MembershipSource is a chain as a server gives it. The first statement is the
// founding or a checkpoint.
type MembershipSource struct {
	Room       core.RoomID
	State      []byte // of the checkpoint, or the snapshot of a founding that has one
	Statements [][]byte
}

// ReadMembership follows a chain of which nothing is known. A chain that begins with
// a checkpoint proves little by itself: see Vouched.
func ReadMembership(from MembershipSource) (*Membership, error) {
	return readMembership(from, nil)
}

// ResumeMembership follows a chain that was followed to a mark before. The signatures
// up to the mark are not verified again: its hash binds them. ErrFork if the chain
// does not pass through the mark, ErrRollback if it ends before, ErrGap if it begins after.
func ResumeMembership(known MembershipMark, from MembershipSource) (*Membership, error) {
	return readMembership(from, &known)
}

func readMembership(from MembershipSource, known *MembershipMark) (*Membership, error) {
	if len(from.Statements) == 0 {
		return nil, errFault(ErrGap, "the room %s came without a statement about its members", from.Room)
	}
	verified := func(seq uint64) bool { return known != nil && seq <= known.Head.Seq }
	m, err := beginMembership(from)
	if err != nil {
		return nil, err
	}
	if err := m.passes(known); err != nil {
		return nil, err
	}
	for _, v := range m.readAll(from.Statements[1:], verified) {
		if v.err != nil {
			return nil, v.err
		}
		if err := m.follow(v.statement); err != nil {
			return nil, err
		}
		if err := m.passes(known); err != nil {
			return nil, err
		}
	}
	if known != nil && m.head.Seq < known.Head.Seq {
		return nil, m.rollback(m.head.Seq, known.Head.Seq)
	}
	return m, nil
}

// readResult is a statement that was read, or why it was not.
type readResult struct {
	statement Statement
	err       error
}

// readAll reads the statements after the head on all processors: signatures are nearly
// the whole cost of a chain. verified says that the one of a number was verified before.
func (m *Membership) readAll(raw [][]byte, verified func(uint64) bool) []readResult {
	out, next := make([]readResult, len(raw)), atomic.Int64{}
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(raw)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(raw)); i = next.Add(1) - 1 {
				r := &out[i]
				if verified(m.head.Seq + 1 + uint64(i)) {
					r.statement, _, r.err = readStatement(m.room, raw[i])
				} else {
					r.statement, r.err = VerifyStatement(m.room, raw[i])
				}
			}
		})
	}
	all.Wait()
	return out
}

// passes checks the chain against what was known of it.
func (m *Membership) passes(known *MembershipMark) error {
	switch {
	case known == nil:
		return nil
	case m.founding != known.Founding:
		return errFault(ErrFork, "the room %s has another founding than the one that is known", m.room)
	case m.start > known.Head.Seq:
		return errFault(ErrGap, "the statements about the members of the room %s begin with number %d, and %d is the last that is known", m.room, m.start, known.Head.Seq)
	case m.head.Seq == known.Head.Seq && m.head.Hash != known.Head.Hash:
		return errFault(ErrFork, "statement %d of the room %s is another one than the one that is known", m.head.Seq, m.room)
	}
	return nil
}

func (m *Membership) rollback(shown, known uint64) error {
	return errFault(ErrRollback, "the statements about the members of the room %s are shown up to number %d, and %d is known", m.room, shown, known)
}

// beginMembership follows the first statement.
func beginMembership(from MembershipSource) (*Membership, error) {
	m := &Membership{memberState: memberState{room: from.Room}}
	s, err := VerifyStatement(from.Room, from.Statements[0])
	if err != nil {
		return nil, err
	}
	switch {
	case s.Kind.isFounding():
		err = m.found(s, from.State)
	case s.Kind == StatementCheckpoint:
		err = m.startAt(s, from.State)
	default:
		err = errFault(ErrGap, "%s is neither a founding nor a checkpoint: nothing can begin with it", s)
	}
	if err != nil {
		return nil, err
	}
	m.start = s.Seq
	m.head, m.epoch, m.record = MembershipHead{s.Seq, s.Hash}, s.Epoch, s.Record
	m.log = []logged{{raw: s.raw, hash: s.Hash, wasActive: true}}
	return m, nil
}

// found begins a chain with its founding.
func (m *Membership) found(s Statement, snapshot []byte) error {
	m.founding, m.encrypted = s.Hash, s.Kind == StatementFound
	if s.Ref == (Hash{}) {
		m.people = map[core.UserID]Person{}
		m.put(s.Signer, Person{Role: core.MemberOwner})
		return nil
	}
	if stateHash(snapshot) != s.Ref {
		return errFault(ErrChain, "%s begins with other members than those that came with it", s)
	}
	from, ok := parseState(snapshot)
	if !ok || !from.isSnapshot() || from.room != m.room || from.encrypted != m.encrypted {
		return errFault(ErrFormat, "the members that %s begins with cannot be read", s)
	}
	if from.roleOf(s.Signer) != core.MemberOwner {
		return errRight(s, "is not an owner of what it founds")
	}
	m.people, m.owners = from.people, from.owners
	return nil
}

// startAt begins a chain with a checkpoint.
func (m *Membership) startAt(s Statement, state []byte) error {
	if stateHash(state) != s.Ref {
		return errFault(ErrChain, "%s is of other members than those that came with it", s)
	}
	from, ok := parseState(state)
	if !ok || from.room != m.room || from.head.Seq+1 != s.Seq || from.head.Hash != s.Prev || (from.founding == Hash{}) {
		return errFault(ErrFormat, "the members that %s is of cannot be read", s)
	}
	if err := from.allowsEpoch(s); err != nil {
		return err
	}
	if err := from.allows(s); err != nil {
		return err
	}
	m.memberState = *from
	return nil
}

// Append follows the statement after the head. ErrFormat, ErrStatement; ErrRight if
// its signer may not do so; ErrGap if statements between are missing; ErrFork if it
// follows another one than the head, with both in a *ForkProof where they are here;
// ErrRollback. A statement that was followed before is no error.
func (m *Membership) Append(b []byte) (Statement, error) {
	if s, _, err := readStatement(m.room, b); err == nil && s.Seq <= m.head.Seq {
		if known, here := m.HashAt(s.Seq); here && known == s.Hash {
			return s, nil // its signature was verified then
		}
	}
	s, err := VerifyStatement(m.room, b)
	if err != nil {
		return Statement{}, err
	}
	if s.Seq <= m.head.Seq {
		return s, m.checkKnown(s)
	}
	return s, m.follow(s)
}

// AppendAll is Append for statements that follow each other, on all processors. It stops at the
// first that does not fit.
func (m *Membership) AppendAll(raw [][]byte) error {
	for _, v := range m.signatures(raw) {
		switch {
		case v.err != nil:
			return v.err
		case v.statement.Seq <= m.head.Seq:
			v.err = m.checkKnown(v.statement)
		default:
			v.err = m.follow(v.statement)
		}
		if v.err != nil {
			return v.err
		}
	}
	return nil
}

// follow checks and applies the statement after the head.
func (m *Membership) follow(s Statement) error {
	if err := m.checkNext(s); err != nil {
		return err
	}
	entry := logged{raw: s.raw, hash: s.Hash, wasActive: m.roleOf(s.Subject) != ""}
	if s.Kind == StatementAccept {
		entry.inviter = m.people[s.Subject].Inviter
	}
	entry.lapsed = m.apply(s)
	m.log = append(m.log, entry)
	if entry.wasActive && (s.Kind == StatementRemove || s.Kind == StatementLeave) {
		m.departure = s.Seq
	}
	return nil
}

// checkNext checks the statement after the head and changes nothing.
func (m *Membership) checkNext(s Statement) error {
	switch {
	case s.Seq <= m.head.Seq:
		return m.rollback(s.Seq, m.head.Seq)
	case s.Seq > m.head.Seq+1:
		return errFault(ErrGap, "%s came, and %d is the last that is known", s, m.head.Seq)
	case s.Prev != m.head.Hash:
		return errFault(ErrFork, "%s follows another statement %d than the one that is known", s, m.head.Seq)
	}
	if err := m.allowsEpoch(s); err != nil {
		return err
	}
	if m.checked != nil && s.Epoch == m.checked.Epoch && s.Record != m.checked.Hash {
		return errFault(ErrFork, "%s names another record of epoch %d than the one that is known", s, s.Epoch)
	}
	return m.allows(s)
}

// allowsEpoch checks the epoch that a statement names against the one before it.
func (m *memberState) allowsEpoch(s Statement) error {
	switch {
	case s.Epoch < m.epoch:
		return errFault(ErrRollback, "%s names epoch %d, and the statement before it epoch %d", s, s.Epoch, m.epoch)
	case s.Epoch == m.epoch && s.Record != m.record:
		return errFault(ErrFork, "%s names another record of epoch %d than the statement before it", s, s.Epoch)
	}
	return nil
}

// checkKnown compares a statement that is not newer than the head with the one that
// was followed.
func (m *Membership) checkKnown(s Statement) error {
	if s.Seq < m.start {
		return m.rollback(s.Seq, m.head.Seq)
	}
	known := m.log[s.Seq-m.start]
	if known.hash == s.Hash {
		return nil
	}
	err := core.AsError(errFault(ErrFork, "%s is another one than the one that is known", s))
	if mine, _, ok := parseStatement(known.raw); ok && mine.Prev == s.Prev {
		err.Err = &ForkProof{Room: m.room, Known: known.raw, Shown: s.raw}
	}
	return err
}

// Check compares a server's answer about the head of the chain with it. ErrRollback,
// ErrFork; ErrGap if there are newer statements to fetch.
func (m *Membership) Check(h MembershipHead) error {
	switch {
	case h.Seq < m.head.Seq:
		return m.rollback(h.Seq, m.head.Seq)
	case h.Seq > m.head.Seq:
		return errFault(ErrGap, "the room %s has %d statements about its members, and %d are followed", m.room, h.Seq+1, m.head.Seq+1)
	case h.Hash != m.head.Hash:
		return errFault(ErrFork, "statement %d of the room %s is another one than the one that is known", h.Seq, m.room)
	}
	return nil
}

// Room is the room's id.
func (m *Membership) Room() core.RoomID { return m.room }

// Encrypted says whether the room was founded as an encrypted one.
func (m *Membership) Encrypted() bool { return m.encrypted }

// FoundedAnew says that the chain begins with the founding of a room that had members
// before: none of them but the founder has signed that.
func (m *Membership) FoundedAnew() bool {
	return m.log[0].kind().isFounding() && Hash(m.log[0].field(refEnds, hashSize)) != (Hash{})
}

// Head is the newest statement that was followed.
func (m *Membership) Head() MembershipHead { return m.head }

// Mark is what must be on disk before anything of the chain is used.
func (m *Membership) Mark() MembershipMark { return MembershipMark{m.founding, m.head} }

// Role is the role of an active member, "" for every other user.
func (m *Membership) Role(user core.UserID) core.MemberRole { return m.roleOf(user) }

// Person is what the chain says of a user; false for a user who is not in the room.
func (m *Membership) Person(user core.UserID) (Person, bool) {
	p, there := m.people[user]
	return p, there
}

// People are all active members and invited users.
func (m *Membership) People() map[core.UserID]Person { return maps.Clone(m.people) }

// Vouched says whether a user has signed a statement since the chain's start. That
// binds all that came before it: a joiner needs one of its inviter, or an own one that is no
// answer. An answer is signed over a head that a node has named: see JoinedSinceStart.
func (m *Membership) Vouched(user core.UserID) bool {
	return slices.ContainsFunc(m.log, func(l logged) bool { return l.signer() == string(user) })
}

// Start is the number of the first statement that is here.
func (m *Membership) Start() uint64 { return m.start }

// FromFounding is true for a chain that was read from its founding on.
func (m *Membership) FromFounding() bool { return m.log[0].kind().isFounding() }

// JoinedSinceStart says whether a user has accepted an invitation that was signed since
// the chain's start. The inviter's signature binds the state that the chain begins with:
// a joiner who begins at a checkpoint needs it.
func (m *Membership) JoinedSinceStart(user core.UserID) bool {
	invited := map[Hash]bool{}
	for _, l := range m.log {
		switch l.kind() {
		case StatementInvite:
			if l.subject() == string(user) {
				invited[l.hash] = true
			}
		case StatementAccept:
			if l.signer() == string(user) && invited[Hash(l.field(refEnds, hashSize))] {
				return true
			}
		}
	}
	return false
}

// Epoch is the newest epoch that a statement names, and the hash of its record.
func (m *Membership) Epoch() (core.Epoch, Hash) { return m.epoch, m.record }
