package control

import "unibus/core"

// Standing is what somebody is in a room, the least first.
type Standing int

// The standings.
const (
	Outside Standing = iota
	AsMember
	AsAdmin
	AsOwner
)

// Rule says who may call a method. Every caller is an active user.
type Rule struct {
	Acts      bool     // it changes something: signed, and let through once
	Least     Standing // in the room that the request names; Outside: it names none
	UserAdmin bool     // a user-admin may too, whatever they are in the room
	Grants    bool     // it leads to reading: in an encrypted room a user-admin has no right beyond their standing
	Archived  bool     // also in an archived room
}

// Rules is the whole table: every method with its rule.
func Rules() map[Method]Rule {
	return map[Method]Rule{
		MethodIdentify:    {},
		MethodRoomCreate:  {Acts: true},
		MethodRooms:       {},
		MethodRoomGet:     {Least: AsMember, UserAdmin: true, Archived: true},
		MethodRoomRename:  {Acts: true, Least: AsAdmin, UserAdmin: true},
		MethodRoomArchive: {Acts: true, Least: AsOwner, UserAdmin: true},

		MethodMembers:     {Least: AsMember, UserAdmin: true, Archived: true},
		MethodInvite:      {Acts: true, Least: AsAdmin, UserAdmin: true, Grants: true},
		MethodAccept:      {Acts: true}, // who is invited is nothing in the room yet
		MethodDecline:     {Acts: true},
		MethodInvitations: {},

		MethodRemove: {Acts: true, Least: AsAdmin, UserAdmin: true},
		MethodLeave:  {Acts: true, Least: AsMember, Archived: true},               // or nobody could ever make room for another
		MethodRole:   {Acts: true, Least: AsOwner, UserAdmin: true, Grants: true}, // an admin or owner can invite

		MethodKEMKey:      {Acts: true},
		MethodKey:         {Least: AsMember, Archived: true},
		MethodEpochs:      {Least: AsMember, Archived: true},
		MethodBox:         {Acts: true, Least: AsMember},
		MethodRekeyPart:   {Acts: true, Least: AsMember},
		MethodRekeyCommit: {Acts: true, Least: AsMember},

		MethodUserGet:      {},
		MethodUserAdd:      {Acts: true, UserAdmin: true},
		MethodUserRevoke:   {Acts: true, UserAdmin: true},
		MethodUserActivate: {Acts: true, UserAdmin: true},
	}
}

// inRoom says that the method is about a room that the request names.
func (r Rule) inRoom() bool { return r.Least > Outside }

// allows says whether somebody may call the method.
func (r Rule) allows(s Standing, userAdmin bool) bool {
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
func mayTouch(s Standing, userAdmin bool, role core.MemberRole) bool {
	switch {
	case role == core.MemberOwner:
		return false
	case userAdmin, s == AsOwner:
		return true
	}
	return s == AsAdmin && role == core.MemberMember
}

// standingOf is what a user is in a room. The room says who owns it: handing it
// over has its one commit point there, and a member's role that disagrees is an
// admin's.
func standingOf(room core.Room, user core.UserID, m *core.Member) Standing {
	switch {
	case room.Owner == user:
		return AsOwner
	case m == nil:
		return Outside
	case m.Role == core.MemberMember:
		return AsMember
	}
	return AsAdmin
}

// roleOf is the role that a standing is shown as.
func roleOf(s Standing) core.MemberRole {
	return [...]core.MemberRole{Outside: "", AsMember: core.MemberMember, AsAdmin: core.MemberAdmin, AsOwner: core.MemberOwner}[s]
}
