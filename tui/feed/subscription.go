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

// Exceeds is true if w needs data that old does not poll.
func (w Subscription) Exceeds(old Subscription) bool {
	return w.Users && !old.Users || w.Rooms && !old.Rooms || w.addsRoom(old) || w.Rollout && !old.Rollout || w.addsAudit(old)
}

func (w Subscription) addsRoom(old Subscription) bool {
	return w.Room != "" && (w.Room != old.Room || w.RoomPages > old.RoomPages)
}

func (w Subscription) addsAudit(old Subscription) bool {
	return w.Audit && (!old.Audit || w.AuditBefore != old.AuditBefore && w.AuditBefore != 0)
}
