package seal

import (
	"slices"

	"unibus/core"
)

// CheckRecord checks that the members stand behind an epoch record, before the record
// is followed: DESIGN.md section 11.4. ErrRollback, ErrGap, ErrFork, ErrChain; ErrRight
// if its maker was no member. It changes nothing: a record that is refused for another
// reason must not be the one that the next is compared with.
func (m *Membership) CheckRecord(r Record) error {
	if r.Members == nil {
		return errFault(ErrRollback, "the record of %s, made by %s, names no members, and the room has a chain of statements about them", r.Place, r.Maker.Short())
	}
	if err := m.checkPlace(r); err != nil {
		return err
	}
	at := r.Members.Seq
	if !m.wasActive(r.Maker, at) {
		return errFault(ErrRight, "the record of %s was made by %s, who was no member of the room after statement %d", r.Place, r.Maker.Short(), at)
	}
	return m.checkNamed(r)
}

// NoteRecord notes that a record was followed that CheckRecord has let through: the next
// ones are compared with it, and MustRekey is about its key.
func (m *Membership) NoteRecord(r Record) {
	if r.Room == m.room && r.Members != nil && (m.checked == nil || r.Epoch > m.checked.Epoch) {
		m.checked = &r
	}
}

// checkPlace checks the head of the chain that a record names.
func (m *Membership) checkPlace(r Record) error {
	at, before := *r.Members, m.checked
	switch {
	case r.Room != m.room:
		return errInvalid("the record is of the room %s, not %s", r.Room, m.room)
	case at.Seq > m.head.Seq:
		return errFault(ErrGap, "the record of %s was made after statement %d about the members, and %d is the last that is known", r.Place, at.Seq, m.head.Seq)
	case before != nil && r.Epoch == before.Epoch && r.Hash != before.Hash:
		return errFault(ErrFork, "the record of %s is another one than the one that is known", r.Place)
	case before != nil && r.Epoch > before.Epoch && at.Seq < before.Members.Seq:
		return errFault(ErrRollback, "the record of %s was made after statement %d about the members, and the record before it after %d", r.Place, at.Seq, before.Members.Seq)
	case at.Seq < m.start:
		return errFault(ErrGap, "the record of %s was made after statement %d about the members, and those that are here begin with %d", r.Place, at.Seq, m.start)
	case m.log[at.Seq-m.start].hash != at.Hash:
		return errFault(ErrFork, "the record of %s, made by %s, was made for other members than those that are known: statement %d is another one", r.Place, r.Maker.Short(), at.Seq)
	}
	return nil
}

// checkNamed compares the epochs that statements name with a record.
func (m *Membership) checkNamed(r Record) error {
	at := r.Members.Seq
	if before := m.log[at-m.start].epoch(); before >= r.Epoch {
		return errFault(ErrChain, "the record of %s was made after statement %d about the members, which names epoch %d already", r.Place, at, before)
	}
	for i, l := range m.log[at-m.start+1:] {
		if l.epoch() == r.Epoch && l.record() != r.Hash {
			return errFault(ErrFork, "statement %d of the room %s names another record of epoch %d than the one that came", at+uint64(i)+1, m.room, r.Epoch)
		}
	}
	return nil
}

// wasActive says whether a user was an active member after a statement of the log.
func (m *Membership) wasActive(user core.UserID, seq uint64) bool {
	for _, l := range m.log[seq-m.start+1:] {
		if l.subject() == string(user) {
			return l.wasActive
		}
	}
	return m.roleOf(user) != ""
}

// WasActiveSince says whether a user was an active member at any time from a statement on:
// only such a user may give the key of a record that was made after it.
func (m *Membership) WasActiveSince(user core.UserID, seq uint64) bool {
	if m.roleOf(user) != "" {
		return true
	}
	if seq < m.start || seq > m.head.Seq {
		return false
	}
	return m.wasActive(user, seq) || slices.ContainsFunc(m.log[seq-m.start+1:], func(l logged) bool {
		return l.kind() == StatementAccept && l.signer() == string(user)
	})
}

// MustRekey says whether an active member was removed or left after the newest record
// that was noted: they may have its key, whatever the server says.
func (m *Membership) MustRekey() bool {
	return m.checked != nil && m.departure > m.checked.Members.Seq
}

// Compact forgets the statements before the newest record that was checked: nothing
// asks for them any more. A server that shows one again is told ErrRollback.
func (m *Membership) Compact() {
	if m.checked == nil || m.checked.Members.Seq <= m.start {
		return
	}
	m.log = append([]logged(nil), m.log[m.checked.Members.Seq-m.start:]...)
	m.start = m.checked.Members.Seq
}
