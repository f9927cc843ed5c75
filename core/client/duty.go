package client

import (
	"bytes"
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// duty is what this member does for the others, and when. Written by who holds
// the turn; reasons and times of a rekey under mu as well, because senders look at them.
type duty struct {
	at      time.Time // when it makes a key, if nobody has by then; zero: none is due
	made    time.Time // when it made the last one
	moved   time.Time // when it saw the room move to another epoch, whoever made it
	plea    time.Time // when it asks for a key again
	failed  int       // tries to make it that came to nothing, one after the other
	said    bool      // who tends the room was told that a key is due, and has not looked yet
	asked   bool      // an operator asked this member
	revoked bool      // the last that was heard of was a revocation
}

// pleaText is what a member without a key says in an encrypted room; no message is so short.
func pleaText() []byte { return []byte("\xffunibus.client.plea.v1") }

// tend looks at the room whenever there is a reason to, until ctx ends.
func (r *Room) tend(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	mark := time.NewTicker(saveMarksEvery)
	defer mark.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-t.C:
		case <-mark.C:
			if err := r.keep(); err != nil {
				r.c.log.Warn("what was read of a room could not be kept", "room", r.id, "error", err)
			}
			continue
		}
		t.Reset(r.look(ctx))
	}
}

// look reads the room, does what is due, and gives out what waited. It says when to look again.
func (r *Room) look(ctx context.Context) time.Duration {
	if err := r.take(ctx); err != nil {
		return minRetryWait
	}
	defer r.pass()
	next := maxRetryWait
	if err := r.refresh(ctx); err == nil {
		next = min(jittered(r.c.timing.rereadEvery), r.duties(ctx))
	}
	next = min(next, r.plead(ctx))
	if r.release() > 0 || !r.admitted() {
		next = min(next, r.c.timing.probeEvery)
	}
	return max(next, time.Millisecond)
}

// refresh reads the room and its people, for as long as messages can wait.
func (r *Room) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.reconcileTimeout)
	defer cancel()
	if !r.admitted() {
		short, cancel := context.WithTimeout(ctx, 2*r.c.timing.probeEvery)
		_ = r.permitted(short) // if not, reading the room says why
		cancel()
	}
	if err := r.follow(ctx); err != nil {
		return err
	}
	return r.inform(ctx)
}

// admitted says that the session has the room.
func (r *Room) admitted() bool {
	session, _ := r.c.session.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return session > 0 && session == r.session
}

// duties makes a new key where one is due, and gives the present one to those who asked. The caller holds the turn.
func (r *Room) duties(ctx context.Context) time.Duration {
	next := r.c.timing.rereadEvery
	r.mu.Lock()
	reason, due := r.due(time.Now())
	if !due {
		reason, due = r.firstDue()
	}
	r.duty.said = false
	switch {
	case !due:
		r.duty.at, r.duty.failed, r.duty.asked, r.duty.revoked = time.Time{}, 0, false, false
	case r.duty.asked && r.duty.failed == 0:
		r.duty.at = time.Now()
	case r.duty.at.IsZero():
		r.duty.at = time.Now().Add(r.c.timing.delayFor(r.info.Role))
	}
	at := r.duty.at
	r.mu.Unlock()
	switch wait := time.Until(at); {
	case !due:
	case wait > 0:
		next = wait
	default:
		if err := r.rekey(ctx, reason); err != nil {
			next = r.postpone()
			r.c.log.Warn("a new key is due and could not be made", "room", r.id, "reason", reason, "again", next, "error", err)
		}
	}
	return min(next, r.answer(ctx))
}

// rekeyTries bounds how often one call makes a key anew because others changed the room meanwhile.
const rekeyTries = 5

// rekey moves the room to the next epoch. Where somebody else was faster, or the
// members have changed, the room is read and judged again. The caller holds the turn.
func (r *Room) rekey(ctx context.Context, reason seal.Reason) error {
	for try := 1; ; try++ {
		r.mu.Lock()
		room := r.info.Room
		r.mu.Unlock()
		if r.epoch == nil && (r.memoryHead() != nil || room.Rec != core.LegacyRec && room.Rec != "") { // nobody could follow a record without its link
			return newFault(core.KindRefused, ErrNoKey, "%s has no key of the room %s and cannot make the next one", r.c.me.Short(), r.id).
				WithNext("a member who has the key does it")
		}
		made, err := r.make(ctx, room, reason)
		if err != nil {
			return err
		}
		out, err := request(ctx, r.c, once, func(ctx context.Context) (core.Room, error) { return r.c.api.Rekey(ctx, made.Record, made.Keys) })
		if err == nil {
			return r.made(made, out, reason)
		}
		if k := core.KindOf(err); k != core.KindConflict && k != core.KindUnavailable || try == rekeyTries {
			return err
		}
		if err := r.follow(ctx); err != nil {
			return err
		}
		if done, err := r.overtaken(room); done || err != nil {
			return err
		}
		if !sleep(ctx, r.c.timing.delayFor(core.MemberOwner)/4) {
			return err
		}
	}
}

func (r *Room) memoryHead() *seal.Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memory.Head
}

// overtaken says that the room is at another epoch than before, and needs no further one.
func (r *Room) overtaken(before core.Room) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, due := r.due(time.Now())
	return r.info.Room.Epoch > before.Epoch && !due, nil
}

func (r *Room) make(ctx context.Context, room core.Room, reason seal.Reason) (seal.Rekeyed, error) {
	members, err := request(ctx, r.c, readOnly, func(ctx context.Context) ([]control.Member, error) { return r.c.api.Members(ctx, r.id, true) })
	if err != nil {
		return seal.Rekeyed{}, err
	}
	to, given := []seal.KEMKey{r.c.ownKey()}, map[core.UserID]bool{r.c.me: true}
	for _, m := range members {
		if given[m.User] || m.Status != core.UserActive {
			continue
		}
		given[m.User] = true
		k, err := r.keyOf(m)
		switch {
		case err == nil:
			to = append(to, k)
		case isSuspicious(err):
			r.c.reportSuspicion(r.id, err) // they get no key; a lie about one must not keep a removal from counting
		default:
			r.c.log.Info("a member gets no key", "room", r.id, "member", m.User, "reason", err)
		}
	}
	if err := r.c.dir.keepPeers(); err != nil {
		return seal.Rekeyed{}, err
	}
	return seal.MakeRecord(seal.RecordConfig{
		Room: r.id, Epoch: room.Epoch + 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: to,
		By: r.c.id, At: core.MillisOf(time.Now()), Reason: reason, PrevKey: r.epoch,
	})
}

// keyOf is the key that a room's key may be sealed to for a member.
func (r *Room) keyOf(m control.Member) (seal.KEMKey, error) {
	if len(m.KEMKey) == 0 {
		e := core.Errorf(core.KindNotFound, "%s has published no encryption key", m.User.Short())
		if _, known := r.c.dir.known(m.User); known {
			e.Kind, e.Err = core.KindRefused, seal.ErrRollback
			e.Text += ", it is said, and one is known"
		}
		return seal.KEMKey{}, e
	}
	k, err := seal.ParseKEMKey(m.User, m.KEMKey)
	if err != nil {
		return seal.KEMKey{}, err
	}
	if r.c.cfg.Admit != nil {
		if err := r.c.cfg.Admit(r.id, m); err != nil {
			return seal.KEMKey{}, core.Errorf(core.KindRefused, "Admit says: %s", err)
		}
	}
	return k, r.c.dir.follows(k)
}

// made goes on with a key that this member has made.
func (r *Room) made(made seal.Rekeyed, room core.Room, reason seal.Reason) error {
	rec, err := seal.VerifyRecord(made.Record)
	if err != nil {
		return err
	}
	if r.epoch == nil {
		_, err = r.chain.TrustFirst(made.Record)
	} else {
		_, err = r.chain.Advance(made.Record, r.epoch)
	}
	if err == nil {
		err = r.moved()
	}
	if err == nil {
		err = r.adopt(made.Key, r.c.me, false)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.info.Room, r.info.MustRekey, r.info.Unkeyed = room, 0, max(0, r.info.Members-len(made.Keys))
	r.duty.at, r.duty.made, r.duty.failed, r.duty.asked, r.duty.revoked = time.Time{}, time.Now(), 0, false, false
	r.duty.moved = r.duty.made
	r.mu.Unlock()
	r.changed.notify()
	r.c.events.emit(Rekeyed{Room: r.id, Epoch: rec.Epoch, Maker: rec.Maker, Reason: reason, Members: rec.Count})
	r.kick()
	return r.chain.Check(room)
}

// plea notes that somebody without a key asks for it.
func (r *Room) plea(sender core.UserID, data []byte) bool {
	if !r.Encrypted() || !bytes.Equal(data, pleaText()) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owe(sender, true)
	return true
}

// keyRequest is somebody who is to be given the present key, and when it is this
// member's turn. asked says that they asked: a box that is there is of no use to them.
type keyRequest struct {
	at    time.Time
	asked bool
}

// owe notes that somebody is to be given the key: who asks, and who has just come
// in. The caller holds mu.
func (r *Room) owe(user core.UserID, asked bool) {
	if was, noted := r.pleas[user]; user != r.c.me && (!noted || asked && !was.asked) && len(r.pleas) < maxHeld {
		r.pleas[user] = keyRequest{time.Now().Add(r.c.timing.delayFor(r.info.Role)), asked}
		r.kick()
	}
}

// plead asks the others for the room's key, while there is none here. It says when to look again.
func (r *Room) plead(ctx context.Context) time.Duration {
	r.mu.Lock()
	lacks := r.memory.Encrypted && r.sender == nil && r.over == nil && r.info.Room.Rec != core.LegacyRec && (r.fault == nil || errors.Is(r.fault, seal.ErrKey))
	r.mu.Unlock()
	if !lacks {
		return r.c.timing.rereadEvery
	}
	if wait := time.Until(r.duty.plea); wait > 0 || !r.admitted() {
		return max(wait, r.c.timing.probeEvery)
	}
	r.duty.plea = time.Now().Add(jittered(r.c.timing.keyRequestEvery))
	if err := r.c.publishKEMKey(ctx); err != nil {
		r.c.log.Info("this user's encryption key could not be looked at", "error", err)
	}
	_ = r.c.nc.Publish(r.subject, pleaText()) // it is said again
	return time.Until(r.duty.plea)
}

// answer gives the present key to those who asked, once it is this member's turn. It says when to look again.
func (r *Room) answer(ctx context.Context) time.Duration {
	next := r.c.timing.rereadEvery
	if r.epoch == nil {
		return next
	}
	now := map[core.UserID]bool{}
	r.mu.Lock()
	for u, p := range r.pleas {
		if wait := time.Until(p.at); wait > 0 {
			next = min(next, wait)
		} else {
			now[u] = p.asked
			delete(r.pleas, u)
		}
	}
	r.mu.Unlock()
	for u, asked := range now {
		err := r.give(ctx, u)
		if !asked && (core.KindOf(err) == core.KindExists || core.KindOf(err) == core.KindNotFound) {
			continue // they have it from before, or will ask once they have published a key of their own
		}
		if core.KindOf(err) == core.KindExists && r.mayRenew() { // a box that they cannot open: theirs to lose, nobody's to replace
			err = r.rekey(ctx, seal.ReasonAsked)
		}
		if err != nil && !isSuspicious(err) {
			r.c.log.Info("a member who asked for the key was not given it", "room", r.id, "member", u, "reason", err)
		}
	}
	return next
}

// mayRenew bounds how often a new key is made for those who lost what opens their
// box: where nodes do not enforce, anybody can plead in their name. The caller holds the turn.
func (r *Room) mayRenew() bool {
	return time.Since(r.duty.moved) > r.c.timing.renewEvery
}

// give seals the present key to a member. KindConflict where the room is at
// another epoch by now, KindExists where they have a box that this member may
// not replace. The caller holds the turn.
func (r *Room) give(ctx context.Context, user core.UserID) error {
	m, err := request(ctx, r.c, readOnly, func(ctx context.Context) (control.Member, error) { return r.c.api.Member(ctx, r.id, user, true) })
	if err != nil {
		return err
	}
	if m.Status != core.UserActive {
		return core.Errorf(core.KindRefused, "%s is revoked", user.Short())
	}
	k, err := r.keyOf(m)
	if err != nil {
		if isSuspicious(err) {
			r.c.reportSuspicion(r.id, err)
		}
		return err
	}
	box, err := seal.MakeLateBox(seal.LateBoxConfig{Epoch: r.epoch, For: k, By: r.c.id, At: core.MillisOf(time.Now())})
	if err != nil {
		return err
	}
	if err := r.c.dir.keepPeers(); err != nil {
		return err
	}
	_, err = request(ctx, r.c, idempotent, func(ctx context.Context) (core.Room, error) { return r.c.api.GiveKey(ctx, box) })
	if err == nil {
		r.c.events.emit(KeyGiven{Room: r.id, Epoch: box.Epoch, To: user, By: r.c.me})
	}
	return err
}
