package client

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// reconciler does the slow work of a room: it reads the room and its members,
// follows and makes keys, and writes the room's file. It does one thing after the
// other in its own goroutine, and sends the results to the room's goroutine.
type reconciler struct {
	c    *Client
	room *Room

	chain   *seal.Chain
	key     *seal.EpochKey // of the chain's head; nil while there is none here
	boxOf   seal.Hash      // the encryption key to which this user's box of it was sealed
	trusted map[core.UserID]bool

	unconfirmed unconfirmedFounding
	fork        shownFork

	identities identityCheck // the last look at the members' identities

	compared comparison
	ghosts   map[core.UserID]bool // users whom a node calls members and no statement does, and that were reported

	// keyStateUnsaved says that the head, or that the room is encrypted, is not on disk
	// yet. No key is used before: see useKey.
	keyStateUnsaved bool

	heartbeats     *nats.Subscription // nil until the room's members are known to sign
	nextKeyRequest time.Time
	renewedFor     map[core.UserID]time.Time // when a new key was made because a member could not open its box
	unattended     bool                      // the room ended by itself: a failed save is logged
	ended          chan struct{}             // closed once it has saved and ended
}

// job is work that a call gives to the reconciler. It ends with the room.
type job func(life context.Context, w *reconciler)

func newReconciler(r *Room, saved roomState, trusted []core.UserID) *reconciler {
	w := &reconciler{c: r.c, room: r, chain: seal.NewChain(r.id), trusted: map[core.UserID]bool{}, ghosts: map[core.UserID]bool{}, renewedFor: map[core.UserID]time.Time{}, ended: make(chan struct{})}
	if saved.Head != nil {
		w.chain = seal.ResumeChain(*saved.Head)
	}
	for _, u := range trusted {
		w.trusted[u] = true
	}
	return w
}

// runJob has the reconciler run f, and waits for it.
func (r *Room) runJob(ctx context.Context, f func(context.Context, *reconciler) error) error {
	done := make(chan error, 1)
	do := func(life context.Context, w *reconciler) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		done <- f(ctx, w)
	}
	select {
	case r.jobs <- do:
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "the keys of the room %s are being read: %s", r.id, errorText(ctx.Err()))
	case <-r.ending:
		return r.Err()
	}
	err := <-done
	if over := r.view.Load().over; over != nil && core.KindOf(err) == core.KindUnavailable {
		return over
	}
	return err
}

// run does the first job, which opens the room, and then reconciles the room
// whenever there is a reason to.
func (w *reconciler) run(life context.Context) {
	defer w.finish()
	select {
	case do := <-w.room.jobs:
		do(life, w)
	case <-life.Done():
		return
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for life.Err() == nil {
		select {
		case <-life.Done():
		case do := <-w.room.jobs:
			do(life, w)
		case <-w.room.wakeup:
			next.Reset(w.reconcile(life))
		case <-next.C:
			next.Reset(w.reconcile(life))
		}
	}
}

// finish ends the subscriptions and saves the room's state for good: nothing
// writes the file any more once ended is closed, so the room may be opened again.
func (w *reconciler) finish() {
	defer close(w.ended)
	var subs []*nats.Subscription
	w.room.do(func(l *roomLoop) {
		l.end(closedError("client"))
		subs = []*nats.Subscription{l.events, l.all, w.heartbeats}
	})
	for _, sub := range subs {
		if sub != nil {
			_ = sub.Unsubscribe() // fails if the connection is closed, which has ended it
		}
	}
	w.room.saveErr = w.save()
	if w.unattended && w.room.saveErr != nil {
		w.c.log.Warn("the state of a room could not be saved", "room", w.room.id, "error", w.room.saveErr)
	}
}

// save writes the room's state to disk, unless it is there.
func (w *reconciler) save() error {
	err := w.room.save(true)
	if err == nil {
		w.keyStateUnsaved = false
	}
	return err
}

// reconcile reads the room, makes and gives keys as they are due, and has waiting
// messages processed. It returns the wait until the next time.
func (w *reconciler) reconcile(ctx context.Context) time.Duration {
	next := maxRetryWait
	var claims []seal.Heartbeat
	w.room.do(func(l *roomLoop) { claims = l.claims.pending() })
	if err := w.refresh(ctx); err == nil {
		w.findWithheld(claims)
		w.renewBox(ctx)
		next = min(jittered(w.c.timing.rereadEvery), w.makeDueKey(ctx), w.answerKeyRequests(ctx))
	}
	next = min(next, w.requestKey(ctx), w.attend())
	pending := 0
	w.room.do(func(l *roomLoop) { pending = l.drain() })
	if pending > 0 || !w.room.hasSession() {
		next = min(next, w.c.timing.probeEvery)
	}
	return max(next, time.Millisecond)
}

// refresh reads the room and its members, in less time than messages wait.
func (w *reconciler) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.c.timing.reconcileTimeout)
	defer cancel()
	if !w.room.hasSession() {
		short, cancel := context.WithTimeout(ctx, 2*w.c.timing.probeEvery)
		_ = w.waitPermitted(short) // else reading the room returns the reason
		cancel()
	}
	if err := w.follow(ctx); err != nil {
		return err
	}
	if err := w.refreshMembers(ctx); err != nil {
		return err
	}
	if err := w.checkIdentities(ctx); err != nil {
		return err
	}
	if err := w.signCheckpoint(ctx); err != nil {
		w.c.log.Info("the members of a room could not be confirmed in a checkpoint", "room", w.room.id, "error", err) // the next reconcile tries again
	}
	return w.compareCounts(ctx)
}

// open is the first job: it waits until the session has the room, subscribes, and
// follows the keys. The room's owner makes the first key.
func (w *reconciler) open(ctx context.Context) error {
	if err := w.waitPermitted(ctx); err != nil {
		return err
	}
	if err := w.subscribeEvents(ctx); err != nil {
		return err
	}
	if w.room.Encrypted() {
		if err := w.room.subscribeMessages(ctx); err != nil {
			return err
		}
	}
	if err := w.follow(ctx); err != nil && !opensNevertheless(err) { // a user with a lost directory cannot open the box, and one whose box is false can still remove its maker: both request another one
		return err
	}
	if w.room.view.Load().isOwnersFirstKey() {
		if err := w.rekey(ctx, seal.ReasonFirst); err != nil {
			return err
		}
	}
	return w.checkIdentities(ctx)
}

// follow reads the room and follows its keys. A contradiction is the room's fault
// from then on, until a later answer fits.
func (w *reconciler) follow(ctx context.Context) error {
	removals := w.room.removals.Load()
	seen, _ := w.room.members.head()
	info, err := sendRetrying(ctx, w.c, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return w.c.api.Room(ctx, w.room.id) })
	if over, e := w.membershipOver(ctx, info, err); over {
		why := membershipOverError(w.room.id, w.c.me)
		w.unattended = true
		w.room.end(why)
		return why
	} else if e != nil {
		return e
	}
	var before core.Room
	var behind bool
	w.room.do(func(l *roomLoop) { before, behind = l.noteRoom(info) })
	if err = w.followMembers(ctx, info, seen); err == nil {
		if info, err = w.roomOfMembers(ctx, info); err == nil {
			w.room.do(func(l *roomLoop) {
				_, isBehind := l.noteRoom(info)
				behind = behind || isBehind
			})
			err = w.followKeys(ctx, info.Room)
		}
	}
	w.noteFault(err)
	if err != nil && behind {
		w.dropKey()
	}
	w.room.do(func(l *roomLoop) {
		l.reads++
		l.removalsRead = removals
	})
	if before.ID != "" && roomChanged(before, info.Room) {
		w.c.events.emit(RoomChanged{info.Room})
	}
	return err
}

// roomOfMembers is the room at the epoch that the members' statements name, or a later one. It
// is read again if it was read before a statement: what the members name was there by then.
func (w *reconciler) roomOfMembers(ctx context.Context, info control.RoomInfo) (control.RoomInfo, error) {
	var named core.Epoch
	w.room.members.use(func(m *seal.Membership) {
		if m != nil {
			named, _ = m.Epoch()
		}
	})
	if info.Room.Epoch >= named {
		return info, nil
	}
	again, err := sendRetrying(ctx, w.c, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return w.c.api.Room(ctx, w.room.id) })
	if err != nil || again.Room.Epoch >= named {
		return again, err
	}
	return again, newSealFault(seal.ErrRollback, "the node says that the room %s is at epoch %d, and its members' statements name epoch %d", w.room.id, again.Room.Epoch, named)
}

// membershipOver decides by the answer to a request for the room whether this user
// is no member any more. A node also refuses a revoked member, who may be active
// again tomorrow: only a list of rooms without this one ends the membership.
func (w *reconciler) membershipOver(ctx context.Context, info control.RoomInfo, err error) (bool, error) {
	k := core.KindOf(err)
	if err == nil || k != core.KindRefused && k != core.KindNotFound || errors.Is(err, ErrRefused) {
		return err == nil && info.Role == "", err
	}
	rooms, e := sendRetrying(ctx, w.c, readOnly, w.c.api.Rooms)
	if e != nil {
		return false, e
	}
	return !containsRoom(rooms, w.room.id), err
}

func roomChanged(a, b core.Room) bool {
	name := func(r core.Room) string {
		if r.Name == nil {
			return ""
		}
		return *r.Name
	}
	return name(a) != name(b) || a.Owner != b.Owner || a.State != b.State
}

// noteFault sets or clears the room's fault.
func (w *reconciler) noteFault(err error) {
	if err != nil && !isSuspicious(err) {
		return // no answer, so no contradiction
	}
	tell := false
	w.room.do(func(l *roomLoop) {
		isNew := err != nil && (l.fault == nil || l.fault.Error() != err.Error())
		l.fault = err
		tell = isNew && l.told.mayTellFault(time.Now(), l.c.timing.minHeartbeat)
	})
	if tell {
		w.c.reportSuspicion(w.room.id, err)
	}
}
