package client

import (
	"time"

	"unibus/core"
	"unibus/core/seal"
)

// A member who signs that it has followed more than this client makes it read the room. Such a
// claim may be a lie, so that it costs little: a read for one claim of a member in half an
// interval, and a read for all claims of a room in some seconds. The room is read from time to
// time anyway, and every claim is compared then.

// claimReadEvery is the least time between two reads of a room because of claims.
const claimReadEvery = 5 * time.Second

// claim is that a member has followed more than this client, when it was signed.
type claim struct {
	heartbeat seal.Heartbeat
	next      time.Time // no read because of this member before
	open      bool      // neither borne out nor taken back
}

// heartbeatClaims are those of a room's members, one of each.
type heartbeatClaims struct {
	by   map[core.UserID]claim
	next time.Time // no read because of anybody before
}

// note notes a claim, and returns whether to read the room now.
func (c *heartbeatClaims) note(h seal.Heartbeat, now time.Time, every time.Duration) (read bool) {
	if c.by == nil {
		c.by = map[core.UserID]claim{}
	}
	s := c.by[h.User]
	s.heartbeat, s.open = h, true
	if read = !now.Before(s.next) && !now.Before(c.next); read {
		s.next, c.next = now.Add(every/2), now.Add(min(claimReadEvery, every/2))
	}
	c.by[h.User] = s
	return read
}

// settle notes that a claim is borne out, or was taken back by a later heartbeat.
func (c *heartbeatClaims) settle(user core.UserID) {
	if s, is := c.by[user]; is {
		s.open = false
		c.by[user] = s
	}
}

// pending are the claims that are open.
func (c *heartbeatClaims) pending() (out []seal.Heartbeat) {
	for _, s := range c.by {
		if s.open {
			out = append(out, s.heartbeat)
		}
	}
	return out
}

// Bounds of what is told of members and messages in one interval. A member, or a node that
// repeats what a member has signed, could otherwise drive other events out of the queue.
const (
	maxToldOfUser = 8
	maxToldOfRoom = 64 // of the room itself: a node's answers may contradict what is known, and fit again, as often as it likes
	maxTold       = 1024
)

// toldSuspicions are those that were told in this interval.
type toldSuspicions struct {
	until time.Time
	texts map[string]bool
	of    map[core.UserID]int
}

// isNew says whether something of a user is told: once in an interval, and not too much.
func (s *toldSuspicions) isNew(user core.UserID, text string, now time.Time, every time.Duration) bool {
	s.begin(now, every)
	key := string(user) + text
	if s.texts[key] || s.of[user] >= maxToldOfUser || len(s.texts) >= maxTold {
		return false
	}
	s.texts[key] = true
	s.of[user]++
	return true
}

// mayTellFault says whether a fault of the room itself is told.
func (s *toldSuspicions) mayTellFault(now time.Time, every time.Duration) bool {
	s.begin(now, every)
	s.of[""]++
	return s.of[""] <= maxToldOfRoom
}

// begin begins another interval once the one before is over.
func (s *toldSuspicions) begin(now time.Time, every time.Duration) {
	if !now.Before(s.until) {
		*s = toldSuspicions{now.Add(every), map[string]bool{}, map[core.UserID]int{}}
	}
}

// suspect reports what a node shows of a member, unless the same was told lately.
func (w *reconciler) suspect(user core.UserID, err error) {
	w.room.do(func(l *roomLoop) { l.suspect(user, err.Error(), err) })
}

// suspect reports what a member has signed, unless the same was told lately. what names it
// where the text of the error changes with each try.
func (l *roomLoop) suspect(user core.UserID, what string, err error) {
	if l.told.isNew(user, what, time.Now(), l.c.timing.minHeartbeat) {
		l.c.reportSuspicion(l.room.id, err)
	}
}
