package seal

import (
	"slices"

	"unibus/core"
)

// FollowedStatement is a statement of a chain, with what its subject was before it.
type FollowedStatement struct {
	Statement
	WasActive bool          // its subject was an active member before it
	Lapsed    []core.UserID // their invitations ended with it
}

// HashAt is the hash of a statement; false for one that is not here.
func (m *Membership) HashAt(seq uint64) (h Hash, here bool) {
	if seq < m.start || seq > m.head.Seq {
		return Hash{}, false
	}
	return m.log[seq-m.start].hash, true
}

// Holds says whether a statement is among those that are here.
func (m *Membership) Holds(statement Hash) bool {
	return slices.ContainsFunc(m.log, func(l logged) bool { return l.hash == statement })
}

// Since returns the statements that were followed after a number. Those that were
// forgotten, or came before a checkpoint that the chain began with, are missing.
func (m *Membership) Since(seq uint64) []FollowedStatement {
	if seq >= m.head.Seq {
		return nil
	}
	log := m.log
	if seq >= m.start {
		log = log[seq-m.start+1:]
	}
	out := make([]FollowedStatement, 0, len(log))
	for _, l := range log {
		if s, _, ok := parseStatement(l.raw); ok {
			out = append(out, FollowedStatement{s, l.wasActive, l.lapsed})
		}
	}
	return out
}

// SignedSince says whether a user has signed a statement after a number, of those that are here.
func (m *Membership) SignedSince(user core.UserID, seq uint64) bool {
	after := m.log
	if seq >= m.start {
		after = m.log[min(seq-m.start+1, uint64(len(m.log))):]
	}
	return slices.ContainsFunc(after, func(l logged) bool { return l.signer() == string(user) })
}
