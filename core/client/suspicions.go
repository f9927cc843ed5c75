package client

import (
	"slices"
	"sync"
	"time"

	"unibus/core"
)

// Bounds of what is kept of suspicions.
const (
	maxSuspicions     = 64   // of one room: the oldest make place
	maxSuspectedRooms = 4096 // a node can name any number of rooms
)

// PastSuspicion is a Suspicion that this process has reported of a room. Its event may have
// come before a reader, or been lost by one.
type PastSuspicion struct {
	Err         error
	First, Last time.Time
	Times       int // that it was reported
}

// suspicionLog is what this process has reported.
type suspicionLog struct {
	mu sync.Mutex
	of map[core.RoomID][]PastSuspicion // the newest last
}

// note notes a suspicion. One that was there before is the newest again.
func (l *suspicionLog) note(room core.RoomID, err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, known := l.of[room]
	if !known && len(l.of) >= maxSuspectedRooms {
		return
	}
	next := PastSuspicion{err, now, now, 1}
	if at := slices.IndexFunc(all, func(s PastSuspicion) bool { return s.Err.Error() == err.Error() }); at >= 0 {
		next.First, next.Times = all[at].First, all[at].Times+1
		all = slices.Delete(all, at, at+1)
	}
	if len(all) >= maxSuspicions {
		all = slices.Delete(all, 0, 1)
	}
	if l.of == nil {
		l.of = map[core.RoomID][]PastSuspicion{}
	}
	l.of[room] = append(all, next)
}

// Suspicions are the contradictions that this process has reported of the room, the newest
// last and at most 64: also those whose events the program has missed, and those that are over.
// Room.Err is the present one that keeps messages from being sent.
func (r *Room) Suspicions() []PastSuspicion {
	l := &r.c.suspicions
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.of[r.id])
}
