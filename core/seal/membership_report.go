package seal

import (
	"cmp"
	"errors"
	"slices"

	"unibus/core"
)

// ChainReport is what a reader who trusts nobody finds in the statements that a node
// keeps of a room.
type ChainReport struct {
	Statements []ReportedStatement // all that can be read, by number
	Chain      *Membership         // as far as it verifies; nil where not even its beginning does
	Forks      []ForkProof         // two statements that follow the same one, both signed
	Fault      error               // why it verifies no further; nil: all of it does
	At         uint64              // the number of the first statement that does not verify, with Fault
}

// ReportedStatement is a statement, and whether it is signed and allowed by all before it.
type ReportedStatement struct {
	Statement
	Verified bool
}

// InspectChain verifies the statements of a room, in any order and with any of them
// missing, doubled or damaged. state is that of the checkpoint or founding they begin with.
func InspectChain(from MembershipSource) ChainReport {
	var out ChainReport
	for _, raw := range from.Statements {
		s, _, err := readStatement(from.Room, raw)
		if err != nil && out.Fault == nil {
			out.Fault = err
		}
		if err == nil {
			out.Statements = append(out.Statements, ReportedStatement{Statement: s})
		}
	}
	slices.SortStableFunc(out.Statements, func(a, b ReportedStatement) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), slices.Compare(a.Hash[:], b.Hash[:]))
	})
	out.Statements = slices.CompactFunc(out.Statements, func(a, b ReportedStatement) bool { return a.Hash == b.Hash })
	if len(out.Statements) == 0 {
		if out.Fault == nil {
			out.Fault = errFault(ErrGap, "the room %s came without a statement about its members", from.Room)
		}
		return out
	}
	out.verify(from)
	return out
}

// verify follows the statements one after the other. Of two with one number it follows
// the first that fits, and keeps both as a fork.
func (r *ChainReport) verify(from MembershipSource) {
	damaged := r.Fault
	r.Fault = nil
	m, err := beginMembership(MembershipSource{Room: from.Room, State: from.State, Statements: [][]byte{r.Statements[0].raw}})
	if err != nil {
		r.Fault, r.At = err, r.Statements[0].Seq
		return
	}
	r.Chain, r.Statements[0].Verified = m, true
	rest := make([][]byte, 0, len(r.Statements)-1)
	for _, s := range r.Statements[1:] {
		rest = append(rest, s.raw)
	}
	for i, v := range m.signatures(rest) {
		s := &r.Statements[i+1]
		if v.err == nil && v.statement.Seq <= m.head.Seq {
			v.err = m.checkKnown(v.statement)
			r.noteFork(m, v.statement)
		} else if v.err == nil {
			v.err = m.follow(v.statement)
			s.Verified = v.err == nil
		}
		if v.err != nil && r.Fault == nil {
			r.Fault, r.At = v.err, s.Seq
		}
	}
	if damaged != nil && (r.Fault == nil || errors.Is(r.Fault, ErrGap)) { // what cannot be read has no number, and is missing
		r.Fault, r.At = damaged, m.head.Seq+1
	}
}

// signatures verifies the signatures of statements, in their order, and not their numbers.
func (m *Membership) signatures(raw [][]byte) []readResult {
	return m.readAll(raw, func(uint64) bool { return false })
}

func (r *ChainReport) noteFork(m *Membership, shown Statement) {
	if shown.Seq < m.start {
		return
	}
	p := ForkProof{Room: m.room, Known: m.log[shown.Seq-m.start].raw, Shown: shown.raw}
	if p.Check() == nil {
		r.Forks = append(r.Forks, p)
	}
}

// VerifyProofs verifies every statement that the proofs of a room's rows hold, with its
// signature. It returns the first fault and the statement from which on they do not
// verify; nil for a room without a chain.
func VerifyProofs(room core.RoomID, proofs [][]byte) (at uint64, err error) {
	from := MembershipSource{Room: room, State: SnapshotOfProofs(proofs), Statements: StatementsOfProofs(proofs, 0, maxReported)}
	report := ChainReport{}
	if len(from.Statements) > 0 {
		report = InspectChain(from)
	}
	for _, p := range proofs {
		if _, _, ok := splitProof(p); !ok && (report.Fault == nil || errors.Is(report.Fault, ErrGap)) {
			return report.At, errFault(ErrFormat, "statements about the members of the room %s are kept and cannot be read", room)
		}
	}
	return report.At, report.Fault
}

const maxReported = 1 << 31
