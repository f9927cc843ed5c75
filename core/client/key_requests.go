package client

import (
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/seal"
)

// keyRequestText is what a member without a key says in an encrypted room, beside its signed
// request, for members whose program reads that alone; no sealed message is so short. A node
// can say it in anybody's name: it replaces no box and causes no new key.
func keyRequestText() []byte { return []byte("\xffunibus.client.plea.v1") }

// keyRequest is that a member gets the present key from this process at a time.
// asked says that they have signed a request: they cannot open a box that is there.
type keyRequest struct {
	at    time.Time
	asked bool
	has   seal.Hash // the record that they have followed; zero: none, or not known
}

// noteKeyRequest notes that a member needs the key, because they request it or have
// just joined. One who asks again and again is answered as often as an honest one asks.
func (l *roomLoop) noteKeyRequest(user core.UserID, asked bool, has seal.Hash) {
	was, noted := l.keyRequests[user]
	if user == l.c.me || noted && (was.asked || !asked) || len(l.keyRequests) >= maxPending {
		return
	}
	if time.Since(l.answered[user]) < l.c.timing.keyRequestEvery/2 {
		return
	}
	l.keyRequests[user] = keyRequest{time.Now().Add(l.c.timing.delayFor(l.info.Role)), asked, has}
	l.room.wake()
}

// noteSignedRequest notes what a member has asked for, unless a newer request of the same
// member was noted. A member who waits for others to be heard hears this one soon: not often,
// and later in a large room, where all are asked at once.
func (l *roomLoop) noteSignedRequest(q seal.KeyRequest) {
	if q.Time <= l.requestTimes[q.User] {
		return
	}
	l.requestTimes[q.User] = q.Time
	members, _ := l.room.membersWithout("")
	if l.heartbeats.soon(time.Now(), l.c.timing.heardWithin(members), l.c.timing.heartbeatEvery(members), randomUpTo) {
		l.room.wake() // else a member could have the room read with each request
	}
	if q.Kind == seal.RequestKey {
		l.noteKeyRequest(q.User, true, q.Record)
	}
}

// heardWithin is the time over which the members who are asked send their heartbeats. Two of
// them are enough, and the others hear these if the time is long for their number.
func (t timing) heardWithin(members int) time.Duration {
	return max(t.keyRequestEvery/5, time.Duration(members)*t.heartbeatPerMember/100)
}

// onKeyRequest takes a signed request of a member. The key that it names is the newest of that
// member: a node that shows an older one from now on is found.
func (r *Room) onKeyRequest(user core.UserID, data []byte) {
	q, err := seal.VerifyKeyRequest(r.id, user, data)
	if err != nil {
		r.c.log.Info("a key request was dropped", "room", r.id, "user", user, "reason", err)
		return
	}
	if user == r.c.me { // another device of this user has a key of its own
		return
	}
	err = r.c.dir.checkPeerKey(seal.KEMKey{User: user, Time: q.KEMTime, Hash: q.KEMHash})
	r.do(func(l *roomLoop) {
		switch {
		case err == nil:
			l.noteSignedRequest(q)
		case !errors.Is(err, seal.ErrRollback): // else it was signed before the member has renewed the key
			l.suspect(user, err.Error(), err)
		}
	})
}

// takeKeyRequest returns a user whose time has come; without one ("") the wait for the
// next, at most most.
func (l *roomLoop) takeKeyRequest(most time.Duration) (user core.UserID, request keyRequest, next time.Duration) {
	for u, k := range l.keyRequests {
		wait := time.Until(k.at)
		if wait <= 0 {
			delete(l.keyRequests, u)
			return u, k, 0
		}
		most = min(most, wait)
	}
	return "", keyRequest{}, most
}

// requestKey asks the other members for the room's key while this process lacks it, or to be
// heard while this is a new device. It returns the wait until the next reconcile.
func (w *reconciler) requestKey(ctx context.Context) time.Duration {
	v := w.room.view.Load()
	lacksKey := v.lacksKey()
	if !lacksKey && (!v.unproven || v.over != nil) {
		return w.c.timing.rereadEvery
	}
	if wait := time.Until(w.nextKeyRequest); wait > 0 || !w.room.hasSession() {
		return max(wait, w.c.timing.probeEvery)
	}
	w.nextKeyRequest = time.Now().Add(jittered(w.c.timing.keyRequestEvery))
	if err := w.c.publishKEMKey(ctx); err != nil {
		w.c.log.Info("this user's encryption key could not be read", "error", err)
	}
	kind := seal.RequestHeard
	if lacksKey {
		kind = seal.RequestKey
		_ = w.c.nc.Publish(w.room.subject, keyRequestText()) // it is sent again
	}
	w.sendKeyRequest(kind, v.head)
	return time.Until(w.nextKeyRequest)
}

// sendKeyRequest signs a request, and sends it where heartbeats are sent: a program that does
// not know it receives none between the messages.
func (w *reconciler) sendKeyRequest(kind seal.RequestKind, head *seal.Head) {
	kem := w.c.ownKey()
	q := seal.KeyRequest{Room: w.room.id, User: w.c.me, Time: core.MillisOf(time.Now()), Kind: kind, KEMTime: kem.Time, KEMHash: kem.Hash}
	if head != nil {
		q.Epoch, q.Record = head.Epoch, head.Hash
	}
	b, err := q.Sign(w.c.id)
	if err == nil {
		err = w.c.nc.Publish(auth.HeartbeatSubject(w.room.id, string(w.c.me)), b)
	}
	if err != nil {
		w.c.log.Info("a key request was not sent", "room", w.room.id, "reason", err)
	}
}

// answerKeyRequests gives the present key to the members whose time has come. It
// returns the wait until the next reconcile. A call waits for one member at the most: a
// thousand may have joined, and a new key is for all of them.
func (w *reconciler) answerKeyRequests(ctx context.Context) time.Duration {
	next := w.c.timing.rereadEvery
	for w.key != nil && ctx.Err() == nil {
		var user core.UserID
		var request keyRequest
		w.room.do(func(l *roomLoop) { user, request, next = l.takeKeyRequest(w.c.timing.rereadEvery) })
		if user == "" {
			return next
		}
		w.answerKeyRequest(ctx, user, request)
		select {
		case do := <-w.room.jobs:
			do(ctx, w)
		default:
		}
	}
	return next
}

func (w *reconciler) answerKeyRequest(ctx context.Context, user core.UserID, request keyRequest) {
	err := w.giveKey(ctx, user)
	kind := core.KindOf(err)
	if err == nil || kind == core.KindExists { // a member, who has a box now
		w.room.do(func(l *roomLoop) { l.answered[user] = time.Now() })
	}
	if !request.asked && (kind == core.KindExists || kind == core.KindNotFound) {
		return // they have it, or will ask once they have published a key of their own
	}
	if kind == core.KindExists && !w.strands(user, request) && w.mayRenew(user) { // a box that they cannot open, and no member may replace it
		err = w.rekey(ctx, seal.ReasonAsked)
	}
	if err != nil && !isSuspicious(err) {
		w.c.log.Info("a member was not given the key", "room", w.room.id, "member", user, "reason", err)
	}
}

// strands says that a new key would not help a member, but keep it out: without the key of the
// record that it has followed it cannot check the link of the next one. Somebody who outranks the
// member replaces the box; nobody outranks an owner, who decides about the next one.
func (w *reconciler) strands(user core.UserID, request keyRequest) bool {
	role, _ := w.room.members.role(user)
	return w.key != nil && request.has == w.key.Record().Hash && role != core.MemberOwner
}

// mayRenew bounds how often a new key is made for members who cannot open their box, and for
// one of them: a member may say so without end.
func (w *reconciler) mayRenew(user core.UserID) bool {
	every, now := w.c.timing.renewEvery, time.Now()
	if now.Sub(w.room.view.Load().rekey.moved) <= every || now.Sub(w.renewedFor[user]) <= renewalsApart*every {
		return false
	}
	w.renewedFor[user] = now
	return true
}

// isKeyOver says that a member who has the present key is none any more, by the statements or
// by this process' own removal.
func (w *reconciler) isKeyOver() (over bool) {
	w.room.members.use(func(m *seal.Membership) { over = m != nil && m.MustRekey() })
	return over || w.key.Record().Epoch <= w.room.view.Load().removedEpoch
}

// giveKey seals the present key to a member. KindConflict if the room is at another
// epoch by now, KindExists if they have a box that this member may not replace.
func (w *reconciler) giveKey(ctx context.Context, user core.UserID) error {
	switch {
	case !w.room.view.Load().signed:
		return w.room.notFoundedError()
	case w.room.view.Load().unproven:
		return w.room.unprovenError()
	case w.key.Record().Members == nil:
		return newFault(core.KindUnavailable, ErrRekeyDue, "the key of the room %s is older than its founding", w.room.id)
	}
	if named := w.room.view.Load().named; w.key.Record().Epoch < named {
		return core.Errorf(core.KindConflict, "the members of the room %s have signed that it is at epoch %d: no key of an older one is given", w.room.id, named)
	}
	m, err := sendRetrying(ctx, w.c, readOnly, func(ctx context.Context) (control.Member, error) {
		return w.c.api.Member(ctx, w.room.id, user, true)
	})
	if err != nil {
		return err
	}
	if m.Status != core.UserActive {
		return core.Errorf(core.KindRefused, "%s is revoked", user.Short())
	}
	if is, err := w.isMember(ctx, user); err != nil {
		return err
	} else if !is {
		return w.ghostError(user)
	}
	if w.isKeyOver() { // whom it is given would send to a member who was removed; the next key is for all
		return newFault(core.KindUnavailable, ErrRekeyDue, "a member of the room %s who has its key was removed: nobody is given it any more", w.room.id)
	}
	k, err := w.kemKeyOf(m)
	if err != nil {
		if isSuspicious(err) {
			w.suspect(user, err)
		}
		return err
	}
	box, err := seal.MakeLateBox(seal.LateBoxConfig{Epoch: w.key, For: k, By: w.c.id, At: core.MillisOf(time.Now())})
	if err != nil {
		return err
	}
	if err := w.c.dir.savePeers(); err != nil {
		return err
	}
	_, err = sendRetrying(ctx, w.c, idempotent, func(ctx context.Context) (core.Room, error) { return w.c.api.GiveKey(ctx, box) })
	if err == nil {
		w.c.events.emit(KeyGiven{Room: w.room.id, Epoch: box.Epoch, To: user, By: w.c.me})
	}
	return err
}
