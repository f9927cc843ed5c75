package seal

import (
	"cmp"
	"encoding/binary"
	"slices"

	"unibus/core"
)

// The proof of a member's row holds the statements about that member, the oldest
// first: DESIGN.md section 11.8.

// AppendProof returns a proof with a statement more. A proof that holds no statements
// is replaced.
func AppendProof(proof []byte, s Statement) []byte {
	if !core.HasStatements(proof) {
		proof = []byte(core.StatementsPrefix)
	}
	out := append(slices.Clone(proof), byte(len(s.raw)>>8), byte(len(s.raw)))
	return append(out, s.raw...)
}

// AppendState returns a proof with a state more: the snapshot of a founding, or the
// members of whom a checkpoint is. It comes before the statement that names its hash.
func AppendState(proof, state []byte) []byte {
	if !core.HasStatements(proof) {
		proof = []byte(core.StatementsPrefix)
	}
	out := append(slices.Clone(proof), 0, 0)
	return append(binary.BigEndian.AppendUint32(out, uint32(len(state))), state...)
}

// splitProof returns the statements and the states of a proof; none for a proof that
// holds no statements.
func splitProof(proof []byte) (statements, states [][]byte, ok bool) {
	if !core.HasStatements(proof) {
		return nil, nil, true
	}
	return splitEntries(proof[len(core.StatementsPrefix):])
}

// splitEntries returns the statements and the states that a part of a proof holds.
func splitEntries(b []byte) (statements, states [][]byte, ok bool) {
	ok = walkEntries(b, func(entry []byte, isState bool) {
		if isState {
			states = append(states, entry)
		} else {
			statements = append(statements, entry)
		}
	})
	if !ok {
		return nil, nil, false
	}
	return statements, states, true
}

// walkEntries calls f with each statement and state that a part of a proof holds, and keeps
// none: each look at a room passes over all of its rows.
func walkEntries(b []byte, f func(entry []byte, isState bool)) (ok bool) {
	r := reader{b: b}
	for len(r.b) > 0 && !r.malformed {
		n, isState := int(r.u16()), false
		if n == 0 {
			n, isState = int(r.u32()), true
		}
		if n == 0 || n > len(r.b) {
			return false
		}
		f(r.take(n)[:n:n], isState)
	}
	return !r.malformed
}

// lastEntry is the newest statement of a proof, as it is kept; nil where there is none.
func lastEntry(proof []byte) (last []byte) {
	if !core.HasStatements(proof) || !walkEntries(proof[len(core.StatementsPrefix):], func(entry []byte, isState bool) {
		if !isState {
			last = entry
		}
	}) {
		return nil
	}
	return last
}

// LastInProof is the newest statement of a proof; false where there is none. Its
// signature is not verified.
func LastInProof(proof []byte) (Statement, bool) {
	last := lastEntry(proof)
	if last == nil {
		return Statement{}, false
	}
	s, _, ok := parseStatement(last)
	return s, ok
}

// ProofIsAbout is true of a proof whose statements, if it has any, are about a user, which is
// where a store keeps them. Nothing of it is verified.
func ProofIsAbout(proof []byte, user core.UserID) bool {
	if !core.HasStatements(proof) {
		return true
	}
	others := false
	ok := walkEntries(proof[len(core.StatementsPrefix):], func(entry []byte, isState bool) {
		others = others || !isState && (len(entry) < epochEnds || string(logged{raw: entry}.field(subjectEnds, idSize)) != string(user))
	})
	return ok && !others
}

// ProofSizeBy is how many bytes of a proof one signer's statements have.
func ProofSizeBy(proof []byte, signer core.UserID) int {
	all, _, _ := splitProof(proof)
	size := 0
	for _, b := range all {
		if len(b) >= epochEnds && (logged{raw: b}).signer() == string(signer) {
			size += len(b)
		}
	}
	return size
}

// HasFounding is true for the proof of the founder's row.
func HasFounding(proof []byte) bool {
	all, _, ok := splitProof(proof)
	if !ok || len(all) == 0 {
		return false
	}
	s, _, ok := parseStatement(all[0])
	return ok && s.Kind.isFounding()
}

// HeadOfProofs is the newest statement of all proofs of a room's rows; false for a
// room without a chain. It is for a store's keeper: nothing of it is verified.
func HeadOfProofs(proofs [][]byte) (newest Statement, found bool) {
	var raw []byte
	for _, proof := range proofs {
		if last := lastEntry(proof); last != nil && (raw == nil || seqOf(last) > seqOf(raw)) {
			raw = last
		}
	}
	if raw == nil {
		return newest, false
	}
	if s, _, ok := parseStatement(raw); ok { // to read each of a large room's would take longer than all the rest
		return s, true
	}
	for _, proof := range proofs { // damaged: the newest of those that can be read
		if s, ok := LastInProof(proof); ok && (!found || s.Seq > newest.Seq) {
			newest, found = s, true
		}
	}
	return newest, found
}

// seqOf is the number of a statement, without reading the rest of it.
func seqOf(raw []byte) uint64 {
	r := reader{b: raw}
	r.start()
	r.take(min(int(r.u16()), len(r.b)))
	return r.u64()
}

// keptStatements are what the proofs of a room's rows hold.
type keptStatements struct {
	all    []Statement // by number
	states map[Hash][]byte
}

func readProofs(proofs [][]byte) (kept keptStatements, ok bool) {
	kept.states = map[Hash][]byte{}
	for _, proof := range proofs {
		raw, states, ok := splitProof(proof)
		if !ok {
			return kept, false
		}
		for _, b := range raw {
			s, _, fits := parseStatement(b)
			if !fits {
				return kept, false
			}
			kept.all = append(kept.all, s)
		}
		for _, b := range states {
			kept.states[stateHash(b)] = b
		}
	}
	slices.SortFunc(kept.all, func(a, b Statement) int { return cmp.Compare(a.Seq, b.Seq) })
	return kept, true
}

// source is the chain from its newest checkpoint on of which the state is kept, or
// from its founding on.
func (k keptStatements) source(room core.RoomID) MembershipSource {
	begin := 0
	for i, s := range k.all {
		if s.Kind == StatementCheckpoint && k.states[s.Ref] != nil {
			begin = i
		}
	}
	out := MembershipSource{Room: room, State: k.states[k.all[begin].Ref], Statements: make([][]byte, 0, len(k.all)-begin)}
	for _, s := range k.all[begin:] {
		out.Statements = append(out.Statements, s.raw)
	}
	return out
}

// founding is the hash of the founding, which is kept in any case.
func (k keptStatements) founding(from MembershipSource) Hash {
	if k.all[0].Kind.isFounding() {
		return k.all[0].Hash
	}
	if m, ok := parseState(from.State); ok {
		return m.founding
	}
	return k.all[0].Hash
}

// MembershipOfProofs is the chain that the proofs of all rows of a room hold, from the
// newest checkpoint on of which they hold the state; nil where they hold none. It is for a
// store's keeper, who has verified each statement before it was kept: signatures are not
// verified again. KindFailed where a statement is missing or damaged.
func MembershipOfProofs(room core.RoomID, proofs [][]byte) (*Membership, error) {
	kept, ok := readProofs(proofs)
	if !ok {
		return nil, core.Errorf(core.KindFailed, "statements about the members of the room %s are kept and cannot be read", room)
	}
	if len(kept.all) == 0 {
		return nil, nil
	}
	from, last := kept.source(room), kept.all[len(kept.all)-1]
	m, err := ResumeMembership(MembershipMark{kept.founding(from), MembershipHead{last.Seq, last.Hash}}, from)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the statements about the members of the room %s are kept and are no chain: %s", room, core.AsError(err).Text)
	}
	return m, nil
}

// SourceOfProofs is the chain that the proofs of a room's rows hold, from the newest
// checkpoint on that is not after a statement, or from where it begins. Statements are by
// number, and the state is computed of those before. It is for a store's keeper, like
// MembershipOfProofs.
func SourceOfProofs(room core.RoomID, proofs [][]byte, upto uint64) (MembershipSource, uint64, error) {
	kept, ok := readProofs(proofs)
	if !ok || len(kept.all) == 0 {
		return MembershipSource{}, 0, core.Errorf(core.KindFailed, "statements about the members of the room %s are kept and cannot be read", room)
	}
	from := kept.source(room)
	first := kept.all[len(kept.all)-len(from.Statements):]
	at := 0
	for i, s := range first {
		if s.Kind == StatementCheckpoint && s.Seq <= upto {
			at = i
		}
	}
	if at == 0 {
		return from, first[0].Seq, nil
	}
	before, last := from, first[at-1]
	before.Statements = before.Statements[:at]
	m, err := ResumeMembership(MembershipMark{kept.founding(from), MembershipHead{last.Seq, last.Hash}}, before)
	if err != nil {
		return MembershipSource{}, 0, core.Errorf(core.KindFailed, "the statements about the members of the room %s are kept and are no chain: %s", room, core.AsError(err).Text)
	}
	return MembershipSource{Room: room, State: m.State(), Statements: from.Statements[at:]}, first[at].Seq, nil
}

// SnapshotOfProofs is the snapshot of the founding that the proofs of a room's rows hold;
// nil for a founding without one.
func SnapshotOfProofs(proofs [][]byte) []byte {
	for _, proof := range proofs {
		all, states, _ := splitProof(proof)
		if len(all) == 0 || len(states) == 0 {
			continue
		}
		s, _, ok := parseStatement(all[0])
		for _, state := range states {
			if ok && s.Kind.isFounding() && stateHash(state) == s.Ref {
				return state
			}
		}
	}
	return nil
}

// StatementsOfProofs are the statements that the proofs of a room's rows hold, by
// number, from one on and at most limit. It is for a store's keeper: nothing is verified.
func StatementsOfProofs(proofs [][]byte, from uint64, limit int) [][]byte {
	type numbered struct {
		seq uint64
		raw []byte
	}
	var all []numbered
	for _, proof := range proofs {
		raw, _, _ := splitProof(proof)
		for _, b := range raw {
			r := reader{b: b}
			r.start()
			_ = r.name()
			if seq := r.u64(); !r.malformed && seq >= from {
				all = append(all, numbered{seq, b})
			}
		}
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.seq, b.seq) })
	out := make([][]byte, min(len(all), limit))
	for i := range out {
		out[i] = all[i].raw
	}
	return out
}

// Statements are those that were followed, from a number on, as they were signed. It
// is empty where they were forgotten.
func (m *Membership) Statements(from uint64) [][]byte {
	if from < m.start || from > m.head.Seq {
		return nil
	}
	var out [][]byte
	for _, l := range m.log[from-m.start:] {
		out = append(out, l.raw)
	}
	return out
}

// Founder is the user who founded the room; false for a chain that began with a checkpoint.
func (m *Membership) Founder() (core.UserID, bool) {
	if m.log[0].kind().isFounding() {
		return core.UserID(m.log[0].signer()), true
	}
	return "", false
}
