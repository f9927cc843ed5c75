package control

import (
	"unibus/core"
	"unibus/core/seal"
)

// A row's statements are bounded in bytes, and the bound must not become a right: a member who
// fills a row keeps nobody in the room and nobody out of it.
const (
	// maxKeptProof bounds the statements about one member, in bytes: a row's value is base64 of
	// them. An answer, and a statement that takes a right away, pass it: there is one at most for
	// each invitation and each role given, which do not pass it.
	maxKeptProof = 700 << 10

	// maxProofBySigner bounds what one signer may add about another member, in bytes: some two
	// hundred statements. An owner still has the bytes that an admin has used up.
	maxProofBySigner = 64 << 10
)

// checkKept refuses a statement that the row of its subject has no place for. proof is what
// the row holds, and before is the subject's role, both without the statement.
func checkKept(st seal.Statement, proof []byte, before core.MemberRole, checkpointDue bool) error {
	if st.Kind == seal.StatementCheckpoint && !checkpointDue { // one for each thousand statements of the room
		return core.Errorf(core.KindExists, "the members of the room %s were confirmed within the last %d statements", st.Room, seal.CheckpointEvery).
			WithNext("nothing has to be done")
	}
	if !givesRight(st, before) {
		return nil
	}
	if len(proof)+len(st.Bytes()) > maxKeptProof {
		return core.Errorf(core.KindRefused, "there are too many statements about %s in the room %s", st.Subject.Short(), st.Room).
			WithNext("continue in another room; the user can still be removed here, and can leave")
	}
	if seal.ProofSizeBy(proof, st.Signer)+len(st.Bytes()) > maxProofBySigner {
		return core.Errorf(core.KindRefused, "%s has signed too many statements about %s in the room %s", st.Signer.Short(), st.Subject.Short(), st.Room).
			WithNext("another admin or an owner of the room can sign this one")
	}
	return nil
}

// givesRight is true of a statement that brings somebody in or raises a right. Those are
// bounded; what takes a right away, and answers, must always find a place.
func givesRight(st seal.Statement, before core.MemberRole) bool {
	return st.Kind == seal.StatementInvite || st.Kind == seal.StatementRole && raises(before, st.Role)
}

// takesOut is true of a statement that only takes somebody out. There is one at most for each
// that brought somebody in, and no quota refuses it.
func takesOut(st seal.Statement) bool {
	return st.Kind == seal.StatementRemove || st.Kind == seal.StatementLeave || st.Kind == seal.StatementDecline
}

// written is how many bytes of statements are written with rows.
func written(rows []core.Member) (n int) {
	for _, m := range rows {
		n += len(m.Proof)
	}
	return n
}

// raises is true of a role that gives more rights than the one before.
func raises(before, role core.MemberRole) bool {
	order := map[core.MemberRole]int{core.MemberMember: 1, core.MemberAdmin: 2, core.MemberOwner: 3}
	return order[role] > order[before]
}
