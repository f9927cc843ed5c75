package feed

// Want says which lists somebody is looking at; the others are not asked for.
type Want struct {
	Users, Rooms bool
	Room         string // an id
	RoomPages    int    // how many pages of its members; 0: the first
	Rollout      bool
	Audit        bool
	AuditBefore  uint64 // the AuditLog.Next that somebody has come to; 0: the newest are enough
}

// Beyond is true where w needs something that is not asked for under old.
func (w Want) Beyond(old Want) bool {
	return w.Users && !old.Users || w.Rooms && !old.Rooms || w.newRoom(old) || w.Rollout && !old.Rollout || w.newAudit(old)
}

func (w Want) newRoom(old Want) bool {
	return w.Room != "" && (w.Room != old.Room || w.RoomPages > old.RoomPages)
}

func (w Want) newAudit(old Want) bool {
	return w.Audit && (!old.Audit || w.AuditBefore != old.AuditBefore && w.AuditBefore != 0)
}
