package feed

// Subscription names the lists that the current page shows. The feed does not
// poll the others.
type Subscription struct {
	Users, Rooms bool
	Room         string // a room id
	RoomIsOpen   bool   // the page shows the room itself, not only what a dialog would name
	RoomPages    int    // pages of its members; 0 is the first
	Rollout      bool
	Audit        bool
	AuditBefore  uint64 // the AuditLog.Next that the operator has scrolled to; 0: only the newest
}

// extendsRoom is true if next shows another room, or more of its members.
func extendsRoom(old, next Subscription) bool {
	return next.Room != "" && (next.Room != old.Room || next.RoomPages > old.RoomPages)
}

// extendsAudit is true if next shows older records.
func extendsAudit(old, next Subscription) bool {
	return next.Audit && (!old.Audit || next.AuditBefore != old.AuditBefore && next.AuditBefore != 0)
}
