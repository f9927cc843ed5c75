package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// makeDueKey makes a new key if one is due and its time has come. It returns the
// wait until the next reconcile.
func (w *reconciler) makeDueKey(ctx context.Context) time.Duration {
	var reason seal.Reason
	var at time.Time
	var due bool
	w.room.do(func(l *roomLoop) { reason, at, due = l.planRekey(time.Now()) })
	if !due {
		return w.c.timing.rereadEvery
	}
	if wait := time.Until(at); wait > 0 {
		return wait
	}
	err := w.rekey(ctx, reason)
	if err == nil {
		return w.c.timing.rereadEvery
	}
	var next time.Duration
	w.room.do(func(l *roomLoop) { next = l.postponeRekey(time.Now()) })
	w.c.log.Warn("a new key is due and could not be made", "room", w.room.id, "reason", reason, "again", next, "error", err)
	return next
}

// rekeyTries bounds how often one call makes a key anew because others changed the room meanwhile.
const rekeyTries = 5

// rekey moves the room to the next epoch. If another member was faster, or the
// members have changed, it reads the room and decides again.
func (w *reconciler) rekey(ctx context.Context, reason seal.Reason) error {
	for try := 1; ; try++ {
		v := w.room.view.Load()
		room := v.info.Room
		switch {
		case !v.signed:
			return w.room.notFoundedError()
		case v.unproven:
			return w.room.unprovenError()
		}
		if w.key == nil && (v.head != nil || room.Rec != core.LegacyRec && room.Rec != "") { // no member could follow a record without its link
			return newFault(core.KindRefused, ErrNoKey, "%s has no key of the room %s and cannot make the next one", w.c.me.Short(), w.room.id).
				WithNext("a member who has the key does it")
		}
		made, err := w.makeRecord(ctx, room, reason)
		if err != nil {
			return err
		}
		out, err := sendRetrying(ctx, w.c, once, func(ctx context.Context) (core.Room, error) { return w.c.api.Rekey(ctx, made.Record, made.Keys) })
		if err == nil {
			return w.useMadeKey(ctx, made, out, reason)
		}
		if k := core.KindOf(err); k != core.KindConflict && k != core.KindUnavailable || try == rekeyTries {
			return err
		}
		if err := w.follow(ctx); err != nil {
			return err
		}
		v = w.room.view.Load()
		if _, due := v.rekeyDue(time.Now(), w.c.me); v.info.Room.Epoch > room.Epoch && !due { // another member has made it
			return nil
		}
		if !sleep(ctx, w.c.timing.delayFor(core.MemberOwner)/4) {
			return err
		}
	}
}

// makeRecord makes the next epoch's key and seals it to the members.
func (w *reconciler) makeRecord(ctx context.Context, room core.Room, reason seal.Reason) (seal.Rekeyed, error) {
	members, err := w.listForKey(ctx)
	if err != nil {
		return seal.Rekeyed{}, err
	}
	var keyless []string
	to, given := []seal.KEMKey{w.c.ownKey()}, map[core.UserID]bool{w.c.me: true}
	for _, m := range members {
		if given[m.User] || m.Status != core.UserActive {
			continue
		}
		given[m.User] = true
		if role, _ := w.room.members.role(m.User); role == "" { // a ghost, which listForKey has told
			continue
		}
		k, err := w.kemKeyOf(m)
		switch {
		case err == nil:
			to = append(to, k)
		case isSuspicious(err):
			w.suspect(m.User, err) // this member gets no key; a lie about one member must not stop a removal
		default:
			if core.KindOf(err) == core.KindNotFound {
				keyless = append(keyless, m.User.Short())
			}
			w.c.log.Info("a member gets no key", "room", w.room.id, "member", m.User, "reason", err)
		}
	}
	w.tellKeyless(keyless)
	if err := w.c.dir.savePeers(); err != nil {
		return seal.Rekeyed{}, err
	}
	cfg := seal.RecordConfig{
		Room: w.room.id, Epoch: room.Epoch + 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(), Members: to,
		By: w.c.id, At: core.MillisOf(time.Now()), Reason: reason, PrevKey: w.key,
	}
	return w.room.sealRecord(cfg)
}

// tellKeyless tells of members without an encryption key. A client publishes one before it
// accepts an invitation, so that a node which shows none hides it, and keeps the member out.
// Members of a room that was founded anew have accepted nothing.
func (w *reconciler) tellKeyless(users []string) {
	var anew bool
	w.room.members.use(func(m *seal.Membership) { anew = m == nil || m.FoundedAnew() })
	if len(users) == 0 || anew {
		return
	}
	const most = 5
	more := ""
	if n := len(users) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	w.suspect("", newSealFault(seal.ErrKey, "the node shows no encryption key of %s%s: members of the room %s who get nothing of the new key", strings.Join(users[:min(len(users), most)], ", "), more, w.room.id))
}

// sealRecord makes a record for those who are members by the statements at this moment.
// Without statements it makes none: the node alone would say who is given the key.
func (r *Room) sealRecord(cfg seal.RecordConfig) (made seal.Rekeyed, err error) {
	r.members.use(func(m *seal.Membership) {
		if m == nil {
			err = r.unreadError()
			return
		}
		cfg.Chain = m
		cfg.Members = slices.DeleteFunc(cfg.Members, func(k seal.KEMKey) bool { return m.Role(k.User) == "" })
		made, err = seal.MakeRecord(cfg)
	})
	return made, err
}

// kemKeyOf returns the key to which the room's key may be sealed for a member.
func (w *reconciler) kemKeyOf(m control.Member) (seal.KEMKey, error) {
	if len(m.KEMKey) == 0 {
		e := core.Errorf(core.KindNotFound, "%s has published no encryption key", m.User.Short())
		if _, known := w.c.dir.peer(m.User); known {
			e.Kind, e.Err = core.KindRefused, seal.ErrRollback
			e.Text += ", the node says, and one is known"
		}
		return seal.KEMKey{}, e
	}
	k, err := seal.ParseKEMKey(m.User, m.KEMKey)
	if err != nil {
		return seal.KEMKey{}, err
	}
	if w.c.cfg.Admit != nil {
		if err := w.c.cfg.Admit(w.room.id, m); err != nil {
			return seal.KEMKey{}, core.Errorf(core.KindRefused, "Config.Admit refuses: %s", err)
		}
	}
	return k, w.c.dir.checkPeerKey(k)
}

// useMadeKey continues with a key that this member has made.
func (w *reconciler) useMadeKey(ctx context.Context, made seal.Rekeyed, room core.Room, reason seal.Reason) error {
	rec, err := seal.VerifyRecord(made.Record)
	if err != nil {
		return err
	}
	if err = w.checkRecord(ctx, rec); err != nil {
		w.dropKey()
		return err
	}
	if w.key == nil {
		_, err = w.chain.TrustFirst(made.Record)
	} else {
		_, err = w.chain.Advance(made.Record, w.key)
	}
	if err == nil {
		w.noteRecord(rec)
		err = w.saveHead()
	}
	if err == nil {
		err = w.useKey(made.Key, w.c.me, false)
	}
	if err != nil {
		w.dropKey() // the room is past the epoch of the key before
		return err
	}
	w.boxOf = ownBox(made.Keys, w.c.me)
	w.room.do(func(l *roomLoop) { l.noteNewKey(room, len(made.Keys)) })
	w.c.events.emit(Rekeyed{Room: w.room.id, Epoch: rec.Epoch, Maker: rec.Maker, Reason: reason, Members: rec.Count})
	w.room.wake()
	return w.chain.Check(room)
}

// Rekey makes a new key for the room. ErrNotFounded in an encrypted room whose members
// have not signed who they are: see Client.FoundAnew.
func (r *Room) Rekey(ctx context.Context) error {
	if !r.Encrypted() {
		return core.Errorf(core.KindRefused, "the room %s is not encrypted: it has no keys", r.id)
	}
	return r.rekeyIf(ctx, seal.ReasonAsked, func(*roomView) bool { return true })
}

// rekeyIf reads the room and makes a new key if it is wanted then.
func (r *Room) rekeyIf(ctx context.Context, reason seal.Reason, wanted func(*roomView) bool) error {
	ctx, cancel := context.WithTimeout(ctx, r.c.cfg.Timeout)
	defer cancel()
	return r.runJob(ctx, func(ctx context.Context, w *reconciler) error {
		if err := w.follow(ctx); err != nil {
			return err
		}
		if !wanted(r.view.Load()) {
			return nil
		}
		return w.rekey(ctx, reason)
	})
}
