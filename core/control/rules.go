package control

import "unibus/core"

// standing is what somebody is in a room, the least first.
type standing int

// The standings.
const (
	outsider standing = iota
	asMember
	asAdmin
	asOwner
)

// Rule says who may call a method. Every caller is an active user.
type Rule struct {
	Acts      bool     // it changes something: signed, and let through once
	Least     standing // in the room that the request names; outsider: it names none
	UserAdmin bool     // a user-admin may too, whatever they are in the room
	Grants    bool     // it leads to reading: in an encrypted room a user-admin has no right beyond their standing
	Archived  bool     // also in an archived room
}

// Rules is the whole table: every method with its rule.
func Rules() map[Method]Rule {
	return map[Method]Rule{
		methodIdentify:    {},
		methodRoomCreate:  {Acts: true},
		methodRooms:       {},
		methodRoomGet:     {Least: asMember, UserAdmin: true, Archived: true},
		methodRoomRename:  {Acts: true, Least: asAdmin, UserAdmin: true},
		methodRoomArchive: {Acts: true, Least: asOwner, UserAdmin: true},

		methodMembers:     {Least: asMember, UserAdmin: true, Archived: true},
		methodInvite:      {Acts: true, Least: asAdmin, UserAdmin: true, Grants: true},
		methodAccept:      {Acts: true}, // who is invited is nothing in the room yet
		methodDecline:     {Acts: true},
		methodInvitations: {},

		methodRemove: {Acts: true, Least: asAdmin, UserAdmin: true},
		methodLeave:  {Acts: true, Least: asMember, Archived: true},               // or nobody could ever make room for another
		methodRole:   {Acts: true, Least: asOwner, UserAdmin: true, Grants: true}, // an admin or owner can invite

		methodKEMKey:      {Acts: true},
		methodKey:         {Least: asMember, Archived: true},
		methodEpochs:      {Least: asMember, Archived: true},
		methodBox:         {Acts: true, Least: asMember},
		methodRekeyPart:   {Acts: true, Least: asMember},
		methodRekeyCommit: {Acts: true, Least: asMember},

		methodUserGet:      {},
		methodUserAdd:      {Acts: true, UserAdmin: true},
		methodUserRevoke:   {Acts: true, UserAdmin: true},
		methodUserActivate: {Acts: true, UserAdmin: true},
	}
}

// inRoom says that the method is about a room that the request names.
func (r Rule) inRoom() bool { return r.Least > outsider }

// allows says whether somebody may call the method.
func (r Rule) allows(s standing, userAdmin bool) bool {
	switch {
	case r.UserAdmin && userAdmin:
		return true
	case r.inRoom():
		return s >= r.Least
	}
	return !r.UserAdmin
}

// mayTouch says whether somebody may bring in, remove or change a member of a
// role: an owner anybody but the owner, an admin plain members alone. A
// user-admin may what the owner may.
func mayTouch(s standing, userAdmin bool, role core.MemberRole) bool {
	switch {
	case role == core.MemberOwner:
		return false
	case userAdmin, s == asOwner:
		return true
	}
	return s == asAdmin && role == core.MemberMember
}

// standingOf is what a user is in a room. The room says who owns it: handing it
// over has its one commit point there, and a member's role that disagrees is an
// admin's.
func standingOf(room core.Room, user core.UserID, m *core.Member) standing {
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

// roleOf is the role that a standing is shown as.
func roleOf(s standing) core.MemberRole {
	return [...]core.MemberRole{outsider: "", asMember: core.MemberMember, asAdmin: core.MemberAdmin, asOwner: core.MemberOwner}[s]
}
