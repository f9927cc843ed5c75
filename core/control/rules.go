package control

import (
	"slices"

	"unibus/core"
)

// roomRank is a user's rank in a room, the least first.
type roomRank int

// The ranks.
const (
	outsider roomRank = iota
	asMember
	asAdmin
	asOwner
)

// Rule says which callers a method takes. Every caller is an active user.
type Rule struct {
	Acts              bool     // it changes something: signed, and let through once
	Least             roomRank // in the room that the request names; outsider: it names none
	UserAdminAllowed  bool     // a user-admin may too, whatever they are in the room
	GivesReadAccess   bool     // it leads to reading: in an encrypted room a user-admin has no right beyond their rank
	AllowedInArchived bool     // also in an archived room

	AuditedAs          string // the verb in the audit if a user-admin does it; "": it has no record
	WorksWithoutQuorum bool   // it takes danger away, and is done without a quorum: recorded by the node alone at first
}

// AuditedVerbs are the verbs of the acts of user-admins in the audit, in order.
func AuditedVerbs() (out []string) {
	for _, r := range Rules() {
		if r.AuditedAs != "" {
			out = append(out, r.AuditedAs)
		}
	}
	slices.Sort(out)
	return out
}

// Rules is the whole table: every method with its rule.
func Rules() map[Method]Rule {
	return map[Method]Rule{
		methodIdentify:    {},
		methodRoomCreate:  {Acts: true},
		methodRooms:       {},
		methodRoomGet:     {Least: asMember, UserAdminAllowed: true, AllowedInArchived: true},
		methodRoomRename:  {Acts: true, Least: asAdmin, UserAdminAllowed: true, AuditedAs: "room-rename"},
		methodRoomArchive: {Acts: true, Least: asOwner, UserAdminAllowed: true, AuditedAs: "room-archive"},

		methodMembers:     {Least: asMember, UserAdminAllowed: true, AllowedInArchived: true},
		methodInvite:      {Acts: true, Least: asAdmin, UserAdminAllowed: true, GivesReadAccess: true, AuditedAs: "member-invite"},
		methodAccept:      {Acts: true}, // an invited user has no rank in the room yet
		methodDecline:     {Acts: true},
		methodInvitations: {},

		methodStatements: {Least: asMember, AllowedInArchived: true},
		methodFoundAnew:  {Acts: true, Least: asOwner},
		methodAppend:     {Acts: true}, // the chain says who may, and an invited user has no rank yet

		methodRemove: {Acts: true, Least: asAdmin, UserAdminAllowed: true, AuditedAs: "member-remove"},
		methodLeave:  {Acts: true, Least: asMember, AllowedInArchived: true},                                                // or no user could ever free a place for another room
		methodRole:   {Acts: true, Least: asOwner, UserAdminAllowed: true, GivesReadAccess: true, AuditedAs: "member-role"}, // an admin or owner can invite

		methodKEMKey:      {Acts: true},
		methodKey:         {Least: asMember, AllowedInArchived: true},
		methodEpochs:      {Least: asMember, AllowedInArchived: true},
		methodBox:         {Acts: true, Least: asMember},
		methodRekeyPart:   {Acts: true, Least: asMember},
		methodRekeyCommit: {Acts: true, Least: asMember},

		methodUserGet:      {},
		methodUserAdd:      {Acts: true, UserAdminAllowed: true, AuditedAs: "user-add"},
		methodUserRevoke:   {Acts: true, UserAdminAllowed: true, AuditedAs: "user-revoke", WorksWithoutQuorum: true},
		methodUserActivate: {Acts: true, UserAdminAllowed: true, AuditedAs: "user-activate"},
	}
}

// inRoom says that the method is about a room that the request names.
func (r Rule) inRoom() bool { return r.Least > outsider }

// allows says whether a user may call the method.
func (r Rule) allows(s roomRank, userAdmin bool) bool {
	switch {
	case r.UserAdminAllowed && userAdmin:
		return true
	case r.inRoom():
		return s >= r.Least
	}
	return !r.UserAdminAllowed
}

// mayChangeMember says whether a user may invite, remove or change a member of a
// role. An owner may do so for every member but the owner, an admin for plain members
// only. A user-admin has the rights of the owner.
func mayChangeMember(s roomRank, userAdmin bool, role core.MemberRole) bool {
	switch {
	case role == core.MemberOwner:
		return false
	case userAdmin, s == asOwner:
		return true
	}
	return s == asAdmin && role == core.MemberMember
}

// roomRankOf is what a user is in a room. The room says who owns it: handing it
// over has its one commit point there, and a member's role that disagrees is an
// admin's.
func roomRankOf(room core.Room, user core.UserID, m *core.Member) roomRank {
	switch {
	case room.Owner == user:
		return asOwner
	case m == nil:
		return outsider
	case m.Role == core.MemberMember:
		return asMember
	}
	return asAdmin
}

// rankOf is the rank that a role gives; outsider for none.
func rankOf(role core.MemberRole) roomRank {
	return map[core.MemberRole]roomRank{core.MemberMember: asMember, core.MemberAdmin: asAdmin, core.MemberOwner: asOwner}[role]
}

// roleOf is the role that a rank is shown as.
func roleOf(s roomRank) core.MemberRole {
	return [...]core.MemberRole{outsider: "", asMember: core.MemberMember, asAdmin: core.MemberAdmin, asOwner: core.MemberOwner}[s]
}
