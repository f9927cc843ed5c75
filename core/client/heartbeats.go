package client

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/seal"
)

// Members sign heartbeats, so that a client notices that it is shown nothing new. A room
// needs few of them, however many members it has: each client listens for a part of every
// interval and sends none if two others were heard that have followed the same, as in the
// Trickle algorithm (RFC 6206). If nodes let nobody hear anybody, each client sends one an
// interval, which grows with the number of members.

const (
	enoughHeartbeats = 2 // of an interval: two members are heard, and one of them may work with the nodes
	staleIntervals   = 3 // without anything new, and the room is stale
)

// heartbeatEvery is the interval of a room.
func (t timing) heartbeatEvery(members int) time.Duration {
	return max(t.minHeartbeat, time.Duration(members)*t.heartbeatPerMember)
}

// heartbeatPlan is when this process sends its next heartbeat.
type heartbeatPlan struct {
	at, ends time.Time // in the present interval
	done     bool      // it has decided in it
	asked    time.Time // when a member without a key was the reason for the last one
	heard    map[core.UserID]bool
}

// due says whether to send one now, and how long to wait until the next decision. draw
// returns a duration below its argument.
func (p *heartbeatPlan) due(now time.Time, every time.Duration, draw func(time.Duration) time.Duration) (send bool, wait time.Duration) {
	if !now.Before(p.ends) {
		*p = heartbeatPlan{asked: p.asked, at: now.Add(every/2 + draw(every/2)), ends: now.Add(every), heard: map[core.UserID]bool{}}
	}
	if !p.done && !now.Before(p.at) {
		p.done, send = true, len(p.heard) < enoughHeartbeats
	}
	if p.done {
		return send, p.ends.Sub(now)
	}
	return false, p.at.Sub(now)
}

// soon plans one within a short time, but not often: a member without a key may be a new device,
// which has to hear others before it sends. It returns whether that changed the plan.
func (p *heartbeatPlan) soon(now time.Time, within, every time.Duration, draw func(time.Duration) time.Duration) bool {
	if p.heard == nil || now.Sub(p.asked) < every/10 {
		return false
	}
	p.asked, p.at, p.done = now, now.Add(draw(within)), false
	clear(p.heard)
	if ends := p.at.Add(every / 2); p.ends.Before(ends) {
		p.ends = ends
	}
	return true
}

// hear notes a heartbeat of another member who has followed the same as this client.
func (p *heartbeatPlan) hear(user core.UserID) {
	if p.heard != nil {
		p.heard[user] = true
	}
}

// attend sends this member's heartbeat when it is due, and finds out whether the room is
// stale. It returns the wait until the next time.
func (w *reconciler) attend() time.Duration {
	next := w.c.timing.rereadEvery
	members, signed := w.room.membersWithout("")
	if !signed {
		return next
	}
	if err := w.room.subscribeHeartbeats(w); err != nil {
		w.c.log.Info("the heartbeats of a room are not received yet", "room", w.room.id, "reason", err)
	}
	every := w.c.timing.heartbeatEvery(members)
	limit := staleIntervals * every
	if others, _ := w.room.membersWithout(w.c.me); others == 0 {
		limit = 0
	}
	var send bool
	var wait time.Duration
	w.room.do(func(l *roomLoop) {
		if l.fresh.look(time.Now(), limit, 2*l.c.timing.rereadEvery) {
			l.c.events.emit(l.staleNow(false))
		}
		l.forgetFormerMembers(members)
		send, wait = l.heartbeats.due(time.Now(), every, randomUpTo)
	})
	if send && limit > 0 {
		w.sendHeartbeat()
	}
	return min(next, max(wait, time.Millisecond), max(limit/16, time.Millisecond*100))
}

// forgetFormerMembers drops what is known of users who are no members any more, once
// there is more than there are members.
func (l *roomLoop) forgetFormerMembers(members int) {
	if max(len(l.fresh.heard), len(l.heartbeatTimes), len(l.heartbeatSeen), len(l.claims.by), len(l.requestTimes), len(l.answered)) <= members {
		return
	}
	isMember := func(u core.UserID) bool {
		role, _ := l.room.members.role(u)
		return role != ""
	}
	l.fresh.forget(isMember)
	maps.DeleteFunc(l.answered, func(u core.UserID, _ time.Time) bool { return !isMember(u) })
	for _, times := range []map[core.UserID]core.Millis{l.heartbeatTimes, l.heartbeatSeen, l.requestTimes} {
		maps.DeleteFunc(times, func(u core.UserID, _ core.Millis) bool { return !isMember(u) })
	}
	maps.DeleteFunc(l.claims.by, func(u core.UserID, _ claim) bool { return !isMember(u) })
}

// membersWithout is how many active members the statements lead to, one user not counted.
func (r *Room) membersWithout(user core.UserID) (n int, signed bool) {
	r.members.use(func(m *seal.Membership) {
		if signed = m != nil; signed {
			n = m.ActiveCount()
			if m.Role(user) != "" {
				n--
			}
		}
	})
	return n, signed
}

// sendHeartbeat signs what this client has followed. While something contradicts that,
// there is no session, or this is a new device, it sends none.
func (w *reconciler) sendHeartbeat() {
	v := w.room.view.Load()
	members, read := w.room.members.head()
	if !read || v.unproven || v.fault != nil || v.over != nil || !w.room.hasSession() {
		return
	}
	kem := w.c.ownKey()
	h := seal.Heartbeat{Room: w.room.id, User: w.c.me, Time: core.MillisOf(time.Now()), Members: members, KEMTime: kem.Time, KEMHash: kem.Hash}
	if v.head != nil {
		h.Epoch, h.Record = v.head.Epoch, v.head.Hash
	}
	b, err := h.Sign(w.c.id)
	if err == nil {
		w.room.do(func(l *roomLoop) { l.noteOwnHeartbeat(h.Time) })
		err = w.c.nc.Publish(auth.HeartbeatSubject(w.room.id, string(w.c.me)), b) // a node of an earlier release refuses it, which harms nothing
	}
	if err != nil {
		w.c.log.Info("a heartbeat was not sent", "room", w.room.id, "reason", err)
	}
}

// noteOwnHeartbeat remembers the last heartbeats of this process, which come back: another one of
// this user is another device's.
func (l *roomLoop) noteOwnHeartbeat(at core.Millis) {
	const most = 8
	l.ownHeartbeats = append(l.ownHeartbeats[max(0, len(l.ownHeartbeats)-most+1):], at)
}

// subscribeHeartbeats subscribes to the heartbeats of the room, unless that is done.
func (r *Room) subscribeHeartbeats(w *reconciler) error {
	if !r.hasSession() || w.heartbeats != nil && w.heartbeats.IsValid() {
		return nil
	}
	sub, err := r.c.nc.Subscribe(auth.HeartbeatSubject(r.id, "*"), r.onHeartbeat)
	w.heartbeats = sub
	return err
}

// onHeartbeat takes a heartbeat of a member, or a key request; the library calls it from one goroutine. One
// of a user whom the statements do not know is left out: that may be a member who has just
// joined, and the next one counts.
func (r *Room) onHeartbeat(m *nats.Msg) {
	tokens := strings.Split(m.Subject, ".")
	if r.c.withholds(m) || len(tokens) != 5 || len(m.Data) > seal.HeartbeatSize+64 {
		return
	}
	user := core.UserID(tokens[3])
	if role, _ := r.members.role(user); role == "" {
		return
	}
	if len(m.Data) == seal.KeyRequestSize+len(r.id) {
		r.onKeyRequest(user, m.Data)
		return
	}
	h, err := seal.VerifyHeartbeat(r.id, user, m.Data)
	if err != nil {
		r.c.log.Info("a heartbeat was dropped", "room", r.id, "user", user, "reason", err)
		return
	}
	isNew := false
	if r.do(func(l *roomLoop) { isNew = !slices.Contains(l.ownHeartbeats, h.Time) && l.isNewHeartbeat(h) }); !isNew { // a node can repeat what a member has signed without end
		return
	}
	same, ahead, err := r.compareHeads(h)
	if err == nil && user != r.c.me { // another device of this user has a key of its own
		err = r.c.noteKEMOf(h)
	}
	r.do(func(l *roomLoop) {
		if err != nil {
			l.suspect(h.User, err.Error(), err)
		} else {
			l.noteHeartbeat(h, same, ahead)
		}
	})
}

// isNewHeartbeat says whether a heartbeat is newer than all of its member, also those that
// did not fit.
func (l *roomLoop) isNewHeartbeat(h seal.Heartbeat) bool {
	if h.Time <= l.heartbeatSeen[h.User] {
		return false
	}
	if l.heartbeatSeen == nil {
		l.heartbeatSeen = map[core.UserID]core.Millis{}
	}
	l.heartbeatSeen[h.User] = h.Time
	return true
}

// noteHeartbeat notes a heartbeat whose heads fit the known ones, unless a newer one of
// the same member was noted.
func (l *roomLoop) noteHeartbeat(h seal.Heartbeat, same, ahead bool) {
	if h.Time <= l.heartbeatTimes[h.User] {
		return
	}
	if l.heartbeatTimes == nil {
		l.heartbeatTimes = map[core.UserID]core.Millis{}
	}
	l.heartbeatTimes[h.User] = h.Time
	l.noteHeard(h.User, h.Time)
	if same { // this user's own is another device's: nobody else can sign that
		l.noteWitness(h.User, h.Time)
	}
	if same && h.User != l.c.me {
		l.heartbeats.hear(h.User)
	}
	switch {
	case !ahead:
		l.claims.settle(h.User)
	case l.claims.note(h, time.Now(), l.c.timing.minHeartbeat):
		l.room.wake()
	}
}

// compareHeads compares what a member has followed with what this client has. same: it is
// the same; ahead: the member knows of more. ErrFork if the two histories part.
func (r *Room) compareHeads(h seal.Heartbeat) (same, ahead bool, err error) {
	fork := func(what string) error {
		return newSealFault(seal.ErrFork, "%s has signed that the room %s has %s than the one that is known", h.User.Short(), r.id, what)
	}
	r.members.use(func(m *seal.Membership) {
		if m == nil {
			return
		}
		head := m.Head()
		same, ahead = head == h.Members, head.Seq < h.Members.Seq
		if known, here := m.HashAt(h.Members.Seq); here && known != h.Members.Hash {
			err = fork("another statement about its members")
		}
	})
	head := r.view.Load().head
	switch {
	case head == nil:
		return false, ahead || h.Epoch > 0, err
	case head.Epoch == h.Epoch && head.Hash != h.Record:
		err = errors.Join(err, fork("another record of its epoch"))
	}
	return same && head.Hash == h.Record, ahead || head.Epoch < h.Epoch, err
}

// noteKEMOf remembers the newest encryption key of a member: a node that shows an older
// one from now on is found.
func (c *Client) noteKEMOf(h seal.Heartbeat) error {
	err := c.dir.checkPeerKey(seal.KEMKey{User: h.User, Time: h.KEMTime, Hash: h.KEMHash})
	if errors.Is(err, seal.ErrRollback) {
		return nil // signed before the member has renewed it
	}
	return err
}

// findWithheld reports members who had followed more when they signed than the node shows
// now. The room was read since.
func (w *reconciler) findWithheld(claims []seal.Heartbeat) {
	for _, h := range claims {
		_, still, err := w.room.compareHeads(h)
		members, _ := w.room.members.head()
		w.room.do(func(l *roomLoop) {
			switch {
			case err == nil && still: // also if the member has claimed something else since
				l.suspect(h.User, "withheld", newSealFault(seal.ErrGap, "%s has signed at %s that the room %s is at statement %d and epoch %d, and the node shows statement %d and no later epoch",
					h.User.Short(), h.Time.Time().Format(time.DateTime), w.room.id, h.Members.Seq, h.Epoch, members.Seq))
			case l.claims.by[h.User].heartbeat == h:
				l.claims.settle(h.User)
			}
		})
	}
}
