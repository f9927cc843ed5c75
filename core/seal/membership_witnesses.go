package seal

import "unibus/core"

// This file decides which members prove to a user that the
// room is shown as it is: DESIGN.md section 11.12. A member who was removed and works with a node can sign on, make members of
// users of its own, and remove all the others. It cannot do that in the name of somebody whom
// it did not bring in.

// Proof is what the signatures of some members prove to a device that knows nothing else.
type Proof int

// The proofs.
const (
	ProofNone Proof = iota // one member alone could have made all of it
	ProofWeak              // the room had one other at most when the user signed last: nobody else could prove more
	ProofFirm              // one member alone cannot have made it
)

// sponsors are the people of a room since an anchor, and who brought each of them in: "" for
// those who were there then, or were brought in by the user.
type sponsors struct {
	by   map[core.UserID]core.UserID
	left map[core.UserID]bool // signed by themselves, which nobody else can
}

// ProofFor is what it proves to a user that these members have signed something lately that
// fits the head of the chain. The anchor is the newest statement of the user, or the invitation that
// the user accepted: no single member made up the statements before it.
func (m *Membership) ProofFor(user core.UserID, heard map[core.UserID]bool) Proof {
	s := m.sponsorsSince(user, m.anchorOf(user))
	tops, heardTops, below := 0, map[core.UserID]bool{}, map[core.UserID]bool{}
	for who := range s.by {
		if !s.left[who] && s.sponsor(who) == "" {
			tops++
		}
		if heard[who] && m.roleOf(who) != "" {
			top, next := s.topOf(who)
			heardTops[top] = true
			below[next] = true
		}
	}
	switch {
	case tops == 0:
		return ProofWeak
	case tops > 1 && len(heardTops) > 1:
		return ProofFirm
	case tops > 1:
		return ProofNone
	}
	for top := range heardTops {
		if below[top] || len(below) > 1 { // the top itself was heard, or two whom it brought in
			return ProofWeak
		}
	}
	return ProofNone
}

// anchorOf is the place in the log of the newest statement that binds what came before it for
// a user: an own one that is no answer, or an invitation that the user has accepted. An answer
// is signed over a head that a node has named.
func (m *Membership) anchorOf(user core.UserID) (at int) {
	invited := map[Hash]int{}
	for i, l := range m.log {
		switch {
		case l.kind() == StatementInvite && l.subject() == string(user):
			invited[l.hash] = i
		case l.signer() != string(user), l.kind() == StatementDecline:
		case l.kind() == StatementAccept:
			at = max(at, invited[Hash(l.field(refEnds, hashSize))])
		default:
			at = i
		}
	}
	return at
}

// sponsorsSince reads who came in since a place in the log.
func (m *Membership) sponsorsSince(user core.UserID, anchor int) sponsors {
	s := sponsors{map[core.UserID]core.UserID{}, map[core.UserID]bool{}}
	since, seen := m.log[anchor+1:], map[core.UserID]bool{}
	for _, l := range since {
		if who := core.UserID(l.subject()); !seen[who] {
			if seen[who] = true; l.wasActive {
				s.by[who] = ""
			}
		}
	}
	for who, p := range m.people {
		if !p.Invited && !seen[who] {
			s.by[who] = ""
		}
	}
	m.sponsorSnapshot(user, anchor, s)
	for _, l := range since {
		who := core.UserID(l.subject())
		if _, known := s.by[who]; !known && l.kind() == StatementAccept {
			if s.by[who] = l.inviter; l.inviter == user {
				s.by[who] = ""
			}
		}
		s.left[who] = l.kind() == StatementLeave || s.left[who] && l.kind() != StatementAccept
	}
	delete(s.by, user)
	return s
}

// sponsorSnapshot notes that the people of a snapshot are there by the founder's word.
func (m *Membership) sponsorSnapshot(user core.UserID, anchor int, s sponsors) {
	founder, founded := m.Founder()
	if anchor > 0 || !founded || founder == user {
		return
	}
	for who := range s.by {
		if who != founder {
			s.by[who] = founder
		}
	}
}

// sponsor is who brought somebody in; of one who has left by an own statement it is the one
// before, who may have made that up.
func (s sponsors) sponsor(who core.UserID) core.UserID {
	by := s.by[who]
	for by != "" && s.left[by] {
		by = s.by[by]
	}
	return by
}

// topOf is the first of those who brought somebody in, and the one after it on the way.
func (s sponsors) topOf(who core.UserID) (top, next core.UserID) {
	top, next = who, who
	for by := s.sponsor(top); by != ""; by = s.sponsor(top) {
		top, next = by, top
	}
	return top, next
}
