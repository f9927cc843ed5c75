package seal

import "unibus/core"

// mayDecide says whether an active member of one role may bring in or remove a member
// of another.
func mayDecide(signer, about core.MemberRole) bool {
	return signer == core.MemberOwner || signer == core.MemberAdmin && about == core.MemberMember
}

// allows checks a statement against the table of DESIGN.md section 11.1. ErrRight;
// ErrLimit for a room that is full. Everything that a reader must agree on with all
// others is here: a change needs a new version.
func (m *memberState) allows(s Statement) error {
	switch s.Kind {
	case StatementInvite:
		return m.allowsInvite(s)
	case StatementAccept, StatementDecline:
		return m.allowsAnswer(s)
	case StatementRole:
		return m.allowsRole(s)
	case StatementRemove:
		return m.allowsRemove(s)
	case StatementLeave:
		switch {
		case m.roleOf(s.Signer) == "":
			return errRight(s, "is not an active member")
		case m.isLastOwner(s.Signer):
			return errRight(s, "is the last owner and cannot leave")
		}
		return nil
	case StatementCheckpoint:
		switch {
		case m.roleOf(s.Signer) != core.MemberOwner:
			return errRight(s, "is not an owner")
		case s.Ref != stateHash(m.encode()):
			return errRight(s, "confirms other members than the statements before it lead to")
		}
		return nil
	default:
		return errRight(s, "cannot found a room again")
	}
}

func (m *memberState) isLastOwner(user core.UserID) bool {
	return m.owners == 1 && m.roleOf(user) == core.MemberOwner
}

func (m *memberState) allowsInvite(s Statement) error {
	was, there := m.people[s.Subject]
	switch {
	case !mayDecide(m.roleOf(s.Signer), s.Role):
		return errRight(s, "may not invite to the role "+string(s.Role))
	case there && !was.Invited:
		return errRight(s, "invites an active member")
	case there && !mayDecide(m.roleOf(s.Signer), was.Role):
		return errRight(s, "may not replace an invitation to the role "+string(was.Role))
	case !there && len(m.people) >= MaxMembers:
		return errFault(ErrLimit, "%s is one too many: a room has at most %d members and invitations", s, MaxMembers)
	}
	return nil
}

func (m *memberState) allowsAnswer(s Statement) error {
	was, there := m.people[s.Subject]
	switch {
	case !there || !was.Invited:
		return errRight(s, "is not invited")
	case s.Ref != was.ref:
		return errRight(s, "answers another invitation than the one that is pending")
	case s.Kind == StatementAccept && s.Role != was.Role:
		return errRight(s, "is invited to the role "+string(was.Role))
	case s.Kind == StatementAccept && !mayDecide(m.roleOf(was.Inviter), was.Role):
		return errRight(s, "was invited by "+was.Inviter.Short()+", who may not invite any more")
	}
	return nil
}

func (m *memberState) allowsRole(s Statement) error {
	was := m.roleOf(s.Subject)
	switch {
	case m.roleOf(s.Signer) != core.MemberOwner:
		return errRight(s, "is not an owner")
	case was == "":
		return errRight(s, "gives a role to a user who is not an active member")
	case was == s.Role:
		return errRight(s, "gives a role that its member has")
	case m.isLastOwner(s.Subject):
		return errRight(s, "takes the role of the last owner")
	}
	return nil
}

func (m *memberState) allowsRemove(s Statement) error {
	was, there := m.people[s.Subject]
	switch {
	case !there:
		return errRight(s, "removes a user who is neither a member nor invited")
	case !mayDecide(m.roleOf(s.Signer), was.Role):
		return errRight(s, "may not remove a user of the role "+string(was.Role))
	}
	return nil
}

func errRight(s Statement, why string) error {
	return errFault(ErrRight, "%s is not valid: %s %s", s, s.Signer.Short(), why)
}
