package seal

import (
	"encoding/binary"
	"maps"
	"slices"

	"unibus/core"
)

// Person is what the membership chain says of a user: an active member, or an
// invited user.
type Person struct {
	Role    core.MemberRole // of an invited user: the one that is offered
	Invited bool
	Inviter core.UserID // of an invited user

	ref Hash // of the invitation
}

// Kinds of entries of a state.
const (
	entryActive  = 1
	entryInvited = 2
)

// MembershipHead is the newest statement of a chain.
type MembershipHead struct {
	Seq  uint64 `json:"seq"`
	Hash Hash   `json:"hash"`
}

// memberState is the members of a room after a statement.
type memberState struct {
	room      core.RoomID
	founding  Hash
	head      MembershipHead
	epoch     core.Epoch // the newest one that a statement names
	record    Hash
	encrypted bool
	people    map[core.UserID]Person
	owners    int // active ones
}

// encode is the state in its one form.
func (m *memberState) encode() []byte {
	b := appendString(appendStart(make([]byte, 0, 256+64*len(m.people))), string(m.room))
	b = binary.BigEndian.AppendUint64(append(b, m.founding[:]...), m.head.Seq)
	b = binary.BigEndian.AppendUint64(append(b, m.head.Hash[:]...), uint64(m.epoch))
	b = append(append(b, m.record[:]...), boolByte(m.encrypted))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.people)))
	for _, user := range slices.Sorted(maps.Keys(m.people)) {
		p := m.people[user]
		b = append(append(b, user...), roleByte(p.Role))
		if !p.Invited {
			b = append(b, entryActive)
			continue
		}
		b = append(append(append(b, entryInvited), p.ref[:]...), p.Inviter...)
	}
	return b
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// parseState reads a state.
func parseState(b []byte) (*memberState, bool) {
	r := reader{b: b}
	r.start()
	m := &memberState{room: core.RoomID(r.name()), founding: r.hash()}
	m.head = MembershipHead{r.u64(), r.hash()}
	m.epoch, m.record = core.Epoch(r.u64()), r.hash()
	encrypted, count := r.u8(), int(r.u32())
	m.encrypted = encrypted == 1
	if encrypted > 1 || count < 1 || count > MaxMembers || m.head.Seq > maxSeq || m.epoch > core.MaxEpoch || (m.epoch == 0) != (m.record == Hash{}) || r.malformed {
		return nil, false
	}
	m.people = make(map[core.UserID]Person, min(count, len(r.b)/idSize))
	for last := core.UserID(""); count > 0 && !r.malformed; count-- {
		user, p := r.entry()
		if user <= last || r.malformed {
			return nil, false
		}
		m.put(user, p)
		last = user
	}
	return m, r.done() && m.owners > 0
}

// entry reads one person of a state.
func (r *reader) entry() (core.UserID, Person) {
	user, p := r.user(), Person{Role: r.role()}
	switch r.u8() {
	case entryActive:
		r.malformed = r.malformed || p.Role == ""
	case entryInvited:
		p.Invited, p.ref, p.Inviter = true, r.hash(), r.user()
		r.malformed = r.malformed || p.ref == Hash{} || p.Role != core.MemberMember && p.Role != core.MemberAdmin
	default:
		r.malformed = true
	}
	return user, p
}

func stateHash(state []byte) Hash { return hashOf("state", state) }

// put writes a person's entry, and counts owners.
func (m *memberState) put(user core.UserID, p Person) {
	m.drop(user)
	m.people[user] = p
	if !p.Invited && p.Role == core.MemberOwner {
		m.owners++
	}
}

// drop takes a person's entry away.
func (m *memberState) drop(user core.UserID) {
	if p, there := m.people[user]; there && !p.Invited && p.Role == core.MemberOwner {
		m.owners--
	}
	delete(m.people, user)
}

// roleOf is the role of an active member, "" for other users.
func (m *memberState) roleOf(user core.UserID) core.MemberRole {
	if p, there := m.people[user]; there && !p.Invited {
		return p.Role
	}
	return ""
}

// apply makes the change of a statement that the rules allow. It returns the users whose
// invitations lapse with it.
func (m *memberState) apply(s Statement) (lapsed []core.UserID) {
	switch s.Kind {
	case StatementInvite:
		m.put(s.Subject, Person{Role: s.Role, Invited: true, Inviter: s.Signer, ref: s.Hash})
	case StatementAccept, StatementRole:
		lapsed = m.dropInvitations(s.Subject, m.roleOf(s.Subject), s.Role)
		m.put(s.Subject, Person{Role: s.Role})
	case StatementDecline, StatementRemove, StatementLeave:
		m.drop(s.Subject)
	}
	m.head, m.epoch, m.record = MembershipHead{s.Seq, s.Hash}, s.Epoch, s.Record
	return lapsed
}

// dropInvitations ends the pending invitations by a user that the user's role before did not
// allow and the next one does: they were made before the user lost that right, and nobody
// has allowed them since.
func (m *memberState) dropInvitations(by core.UserID, was, role core.MemberRole) (lapsed []core.UserID) {
	if !mayDecide(role, core.MemberMember) || mayDecide(was, core.MemberAdmin) {
		return nil
	}
	for user, p := range m.people {
		if p.Invited && p.Inviter == by && !mayDecide(was, p.Role) && mayDecide(role, p.Role) {
			lapsed = append(lapsed, user)
		}
	}
	slices.Sort(lapsed)
	for _, user := range lapsed {
		m.drop(user)
	}
	return lapsed
}

// MakeSnapshot is the state from which an owner founds a room anew that has no chain
// yet (DESIGN.md section 11.7). KindInvalid without an owner among the members.
func MakeSnapshot(room core.RoomID, encrypted bool, members map[core.UserID]core.MemberRole) ([]byte, error) {
	m := &memberState{room: room, encrypted: encrypted, people: make(map[core.UserID]Person, len(members))}
	for user, role := range members {
		m.put(user, Person{Role: role})
	}
	b := m.encode()
	if _, ok := parseState(b); !ok {
		return nil, errInvalid("no snapshot can be made of the %d members of the room %s: it takes an owner and valid ids and roles", len(members), room)
	}
	return b, nil
}

// isSnapshot is true for a state that a founding may begin with.
func (m *memberState) isSnapshot() bool {
	for _, p := range m.people {
		if p.Invited {
			return false
		}
	}
	return m.founding == Hash{} && m.head == MembershipHead{} && m.epoch == 0
}
