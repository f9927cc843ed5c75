package feed

// Subscription names the lists that the current page shows. The feed does not
// poll the others.
type Subscription struct {
	Users, Rooms bool
	Room         string // a room id
	RoomPages    int    // pages of its members; 0 is the first
	Rollout      bool
	Audit        bool
	AuditBefore  uint64 // the AuditLog.Next that the operator has scrolled to; 0: only the newest
}

// Exceeds is true if sub needs data that old does not poll.
func (sub Subscription) Exceeds(old Subscription) bool {
	return sub.Users && !old.Users || sub.Rooms && !old.Rooms || sub.addsRoom(old) || sub.Rollout && !old.Rollout || sub.addsAudit(old)
}

func (sub Subscription) addsRoom(old Subscription) bool {
	return sub.Room != "" && (sub.Room != old.Room || sub.RoomPages > old.RoomPages)
}

func (sub Subscription) addsAudit(old Subscription) bool {
	return sub.Audit && (!old.Audit || sub.AuditBefore != old.AuditBefore && sub.AuditBefore != 0)
}
