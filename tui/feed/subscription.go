package feed

import (
	"slices"

	"unibus/core"
)

// Subscription names the lists that the current page shows. The feed does not
// poll the others.
type Subscription struct {
	Users       *UserWindow // nil: none
	Rooms       *RoomWindow
	Room        string // a room id
	RoomIsOpen  bool   // the page shows the room itself, not only what a dialog would name
	RoomPages   int    // pages of its members; 0 is the first
	Rollout     bool
	Audit       bool
	Replicas    bool        // a guide needs a comparison of the replicas
	Sessions    core.UserID // the open user, whose sessions are shown
	UserKey     string      // a guide needs how far this key is replaced
	RunOf       string      // a guide needs this node's own word on its run
	Trusted     bool        // a guide needs the CAs by which this console verifies the nodes
	AuditBefore uint64      // the AuditLog.Next that the operator has scrolled to; 0: only the newest
}

// UserWindow is the part of the users' list that a page needs. The page is larger than
// the screen, so that rows are there when the operator scrolls to them.
type UserWindow struct {
	core.UserPageRequest
	First, Rows int // the positions on the screen
}

// RoomWindow is that of the rooms' list.
type RoomWindow struct {
	core.RoomPageRequest
	First, Rows int
}

// asksMoreThan is true if w is about other users than old.
func (w *UserWindow) asksMoreThan(old *UserWindow) bool {
	return old == nil || w.UserQuery != old.UserQuery || w.Offset != old.Offset || w.Limit != old.Limit || w.Around != old.Around || w.NoKeys != old.NoKeys || !slices.Equal(w.Named, old.Named)
}

func (w *RoomWindow) asksMoreThan(old *RoomWindow) bool {
	return old == nil || w.RoomQuery != old.RoomQuery || w.Offset != old.Offset || w.Limit != old.Limit || w.Around != old.Around
}

// extendsUsers is true if next shows users that old did not, and that are not known. A
// window that only follows its rows, because others came before them, waits for the next poll.
func extendsUsers(snap *Snapshot, old, next Subscription) bool {
	return next.Users != nil && next.Users.asksMoreThan(old.Users) && !snap.HasUsers(next.Users)
}

// extendsRooms is the same of rooms.
func extendsRooms(snap *Snapshot, old, next Subscription) bool {
	return next.Rooms != nil && next.Rooms.asksMoreThan(old.Rooms) && !snap.HasRooms(next.Rooms)
}

// extendsRoom is true if next shows another room, or more of its members.
func extendsRoom(_ *Snapshot, old, next Subscription) bool {
	return next.Room != "" && (next.Room != old.Room || next.RoomPages > old.RoomPages)
}

// extendsSessions is true if next shows another user's sessions.
func extendsSessions(_ *Snapshot, old, next Subscription) bool {
	return next.Sessions != "" && next.Sessions != old.Sessions
}

// extendsAudit is true if next shows older records.
func extendsAudit(_ *Snapshot, old, next Subscription) bool {
	return next.Audit && (!old.Audit || next.AuditBefore != old.AuditBefore && next.AuditBefore != 0)
}
