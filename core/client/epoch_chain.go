package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// followKeys follows the room's records to the epoch that the node names.
func (w *reconciler) followKeys(ctx context.Context, room core.Room) error {
	if err := w.chain.Check(room); err != nil && !errors.Is(err, seal.ErrGap) {
		return err
	}
	if !room.Encrypted {
		if !w.room.Encrypted() {
			return nil
		}
		e := core.Errorf(core.KindRefused, "the node says that the room %s is not encrypted, and it was, or this user has asked for that", w.room.id).
			WithNext("ask another node; if it says the same, suspect the servers, or use a room with another id")
		e.Err = seal.ErrRollback
		return e
	}
	if err := w.noteEncrypted(ctx); err != nil {
		return err
	}
	head, known := w.chain.Head()
	switch {
	case !known:
		return w.trustFirst(ctx, room)
	case head.Epoch < room.Epoch:
		if err := w.catchUp(ctx, room); err != nil {
			return err
		}
		if err := w.chain.Check(room); err != nil {
			return err
		}
	}
	return w.openHead(ctx)
}

// noteEncrypted saves for good that the room is encrypted, and subscribes to its messages.
func (w *reconciler) noteEncrypted(ctx context.Context) error {
	known := false
	w.room.do(func(l *roomLoop) {
		known = l.saved.Encrypted
		l.saved.Encrypted = true
		l.unsaved = l.unsaved || !known
	})
	if !known {
		w.keyStateUnsaved = true
		if err := w.save(); err != nil {
			return err
		}
	}
	return w.room.subscribeMessages(ctx)
}

// fetchBox reads this user's box of an epoch; ok is false if there is none.
func (w *reconciler) fetchBox(ctx context.Context, e core.Epoch) (k control.Key, ok bool, err error) {
	k, err = sendRetrying(ctx, w.c, readOnly, func(ctx context.Context) (control.Key, error) { return w.c.api.Key(ctx, w.room.id, e) })
	if core.KindOf(err) == core.KindNotFound {
		return k, false, nil
	}
	return k, err == nil, err
}

// trustFirst trusts the record of the present epoch, once this user has a box of it.
func (w *reconciler) trustFirst(ctx context.Context, room core.Room) error {
	if room.Rec == core.LegacyRec || room.Rec == "" {
		return nil // no key was made yet
	}
	k, ok, err := w.fetchBox(ctx, room.Epoch)
	if err != nil || !ok {
		return err
	}
	if k.Record == nil {
		return w.withheldError(room.Epoch)
	}
	rec, err := seal.VerifyRecord(*k.Record)
	if err != nil {
		return err
	}
	if rec.Room != room.ID || rec.Epoch != room.Epoch || rec.Rec != room.Rec {
		return wrongRecordError(rec, room)
	}
	if w.isBeforeFounding(rec) {
		return nil // the members' own key comes with the next record
	}
	if err := w.checkRecord(ctx, rec); err != nil {
		return err
	}
	opened, err := w.openMembersBox(rec, k.Key)
	if err != nil {
		return err
	}
	if _, err := w.chain.TrustFirst(*k.Record); err != nil {
		return err
	}
	w.noteRecord(rec)
	if err := w.saveHead(); err != nil {
		return err
	}
	w.c.events.emit(Rekeyed{Room: w.room.id, Epoch: rec.Epoch, Maker: rec.Maker, Reason: rec.Reason, Members: rec.Count, First: true})
	w.boxOf = opened.KEMHash
	w.room.do(func(l *roomLoop) { l.noteSigned(rec.Maker, rec.Time) })
	return w.useKey(opened.Key, opened.By, opened.Late)
}

func wrongRecordError(rec seal.Record, room core.Room) error {
	e := core.Errorf(core.KindRefused, "the record of %s, rec %s, came for the room %s, epoch %d, rec %s", rec.Place, rec.Rec, room.ID, room.Epoch, room.Rec).
		WithNext("ask another node; if it says the same, suspect the servers")
	e.Err = seal.ErrRecord
	return e
}

func (w *reconciler) withheldError(e core.Epoch) error {
	err := core.Errorf(core.KindConflict, "the room %s is at epoch %d, and the node shows no record of it", w.room.id, e).WithNext("the client asks again by itself")
	err.Err = seal.ErrGap
	return err
}

// openHead opens the box of the head's epoch, unless its key is here.
func (w *reconciler) openHead(ctx context.Context) error {
	head, _ := w.chain.Head()
	if w.key != nil && w.key.Record().Hash == head.Hash {
		return nil
	}
	opened, err := w.openBox(ctx, head)
	if err != nil || opened.Key == nil {
		w.dropKey()
		return err
	}
	return w.useKey(opened.Key, opened.By, opened.Late)
}

// openBox opens this user's box of the head's epoch; no key if there is no box.
func (w *reconciler) openBox(ctx context.Context, head seal.Head) (seal.OpenedBox, error) {
	k, ok, err := w.fetchBox(ctx, head.Epoch)
	if err != nil || !ok {
		return seal.OpenedBox{}, err
	}
	if k.Record == nil {
		return seal.OpenedBox{}, w.withheldError(head.Epoch)
	}
	if k.Record.Epoch > head.Epoch { // the chain would ask for the key that is looked for
		return seal.OpenedBox{}, w.withheldError(head.Epoch)
	}
	rec, err := w.chain.Advance(*k.Record, nil) // the head's own, or it is detected
	if err != nil {
		return seal.OpenedBox{}, err
	}
	if err := w.checkRecord(ctx, rec); err != nil {
		return seal.OpenedBox{}, err
	}
	w.noteRecord(rec)
	opened, err := w.openMembersBox(rec, k.Key)
	w.boxOf = opened.KEMHash
	return opened, err
}

// openMembersBox opens this user's box. A late one counts only if a member has made it: whoever
// has the key of an epoch could otherwise take others back to it.
func (w *reconciler) openMembersBox(rec seal.Record, box core.SealedKey) (seal.OpenedBox, error) {
	opened, err := seal.OpenBox(rec, box, w.c.me, w.c.kem.forBox(box.Box))
	if err != nil {
		return opened, &boxError{err}
	}
	if !opened.Late || rec.Members == nil {
		return opened, nil
	}
	defer func() {
		if err == nil && opened.By != w.c.me { // this user's own comes from before
			w.room.do(func(l *roomLoop) { l.noteWitness(opened.By, opened.At) })
		}
	}()
	w.room.members.use(func(m *seal.Membership) {
		if m == nil || !m.WasActiveSince(opened.By, rec.Members.Seq) {
			err = newSealFault(seal.ErrRight, "the box for %s in %s was sealed by %s, who was no member since its record was made", w.c.me.Short(), rec.Place, opened.By.Short())
		}
	})
	if err != nil {
		return seal.OpenedBox{}, err
	}
	return opened, nil
}

// catchUp follows the records from the head to the epoch of the room.
func (w *reconciler) catchUp(ctx context.Context, room core.Room) error {
	head, _ := w.chain.Head()
	rows, err := w.fetchRecords(ctx, room.Epoch, head.Epoch)
	if err != nil {
		return err
	}
	lastKey, fault := w.key, error(nil)
	if lastKey == nil || lastKey.Record().Hash != head.Hash {
		var opened seal.OpenedBox
		if opened, fault = w.openBox(ctx, head); fault != nil && !isSuspicious(fault) {
			return fault
		}
		lastKey = opened.Key
	}
	var events []Event
	for _, row := range rows {
		var rec seal.Record
		var linked bool
		if rec, linked, err = w.advance(ctx, row, lastKey, fault); err != nil {
			break
		}
		events = append(events, Rekeyed{Room: w.room.id, Epoch: rec.Epoch, Maker: rec.Maker, Reason: rec.Reason, Members: rec.Count, Unlinked: !linked})
		w.room.do(func(l *roomLoop) { l.noteSigned(rec.Maker, rec.Time) })
		at, _ := w.chain.Head()
		var opened seal.OpenedBox
		if opened, fault = w.openBox(ctx, at); fault != nil && !isSuspicious(fault) {
			break
		}
		lastKey = opened.Key
	}
	if len(events) == 0 {
		return err
	}
	w.key = nil
	w.room.do(func(l *roomLoop) { l.rekey.moved = time.Now() })
	if e := w.saveHead(); e != nil { // of the followed records, also if the next one does not fit
		return errors.Join(err, e)
	}
	for _, e := range events {
		w.c.events.emit(e)
	}
	if err == nil {
		err = fault
	}
	if err != nil {
		w.dropKey()
	}
	return err
}

// advance follows one record. Without the key before it, it follows only records
// of this user or of a trusted maker, and those whose link nobody can check any more.
func (w *reconciler) advance(ctx context.Context, row core.EpochRecord, prev *seal.EpochKey, why error) (rec seal.Record, linked bool, err error) {
	if rec, err = seal.VerifyRecord(row); err != nil {
		return rec, false, err
	}
	head, _ := w.chain.Head()
	if rec.Epoch == head.Epoch+1 { // of others the chain says what is wrong
		if err := w.checkRecord(ctx, rec); err != nil {
			return rec, false, err
		}
	}
	defer func() {
		if err == nil {
			w.noteRecord(rec)
		}
	}()
	if prev != nil {
		if rec, err = w.chain.Advance(row, prev); errors.Is(err, seal.ErrLink) || errors.Is(err, seal.ErrChain) {
			err = &recordError{err}
		}
		return rec, true, err
	}
	outlived := head.Members != nil && w.c.timing.outlived(rec, time.Now()) // else the link alone binds the record to what was followed
	if rec.Maker == w.c.me || w.trusted[rec.Maker] || outlived {
		rec, err = w.chain.AdvanceUnlinked(row)
		return rec, false, err
	}
	if why != nil && (!isBoxError(why) || errors.Is(why, seal.ErrKey)) { // of a false box no other is given once its epoch is over
		return rec, false, why
	}
	return rec, false, newFault(core.KindRefused, ErrUnlinked, "%s was made by %s, and the key before it is not here: nothing proves that %s was a member",
		rec.Place, rec.Maker, rec.Maker.Short()).WithNext("ask a person you know whether they were, then use Trust or RoomTrusting with that id")
}

// maxRecords is how many records are read at once: a node can name any epoch, and records of
// its own without end.
const maxRecords = 1 << 14

// fetchRecords reads the records above an epoch, in order, up to another one.
func (w *reconciler) fetchRecords(ctx context.Context, upto, above core.Epoch) ([]core.EpochRecord, error) {
	var rows []core.EpochRecord
	for at := upto; ; {
		page, err := sendRetrying(ctx, w.c, readOnly, func(ctx context.Context) (control.Epochs, error) {
			return w.c.api.Epochs(ctx, control.EpochsRequest{Room: string(w.room.id), Upto: &at})
		})
		if err != nil {
			return nil, err
		}
		for _, row := range page.Records {
			if row.Epoch > above && row.Epoch <= upto {
				rows = append(rows, row)
			}
		}
		if page.Next == nil || *page.Next <= above || *page.Next >= at || len(page.Records) == 0 {
			slices.Reverse(rows)
			return rows, nil
		}
		if len(rows) > maxRecords {
			return nil, newSealFault(seal.ErrGap, "the node shows more than %d records of the room %s", maxRecords, w.room.id)
		}
		at = *page.Next
	}
}

// saveHead saves the chain's head: once a record was followed, nothing less is ever believed.
func (w *reconciler) saveHead() error {
	head, _ := w.chain.Head()
	w.room.do(func(l *roomLoop) { l.setHead(head) })
	w.keyStateUnsaved = true
	return w.save()
}

// useKey sends and receives with a key from now on. The head of its epoch is on disk
// before: after a restart, a node could otherwise name an older one.
func (w *reconciler) useKey(k *seal.EpochKey, by core.UserID, late bool) error {
	if w.keyStateUnsaved { // an earlier save has failed
		if err := w.save(); err != nil {
			w.dropKey()
			return err
		}
	}
	s, err := seal.NewSender(seal.SenderConfig{Key: k, By: w.c.id})
	if err != nil {
		return err
	}
	w.room.do(func(l *roomLoop) { err = l.useKey(k, s) })
	if err != nil {
		return err
	}
	w.key = k
	if late {
		w.c.events.emit(KeyGiven{Room: w.room.id, Epoch: k.Record().Epoch, To: w.c.me, By: by})
	}
	return nil
}

// dropKey stops sending: there is no key of the room's epoch here.
func (w *reconciler) dropKey() {
	w.key = nil
	w.room.do(func(l *roomLoop) { l.sender = nil })
}

// Trust lets the room's keys continue from epochs that these users have made
// although this process cannot see that they were members, because it has no key
// of the epoch before; see ErrUnlinked. Ask a person first. It holds as long as the room is open.
func (r *Room) Trust(ctx context.Context, makers ...core.UserID) error {
	ctx, cancel := context.WithTimeout(ctx, r.c.cfg.Timeout)
	defer cancel()
	defer r.wake()
	return r.runJob(ctx, func(ctx context.Context, w *reconciler) error {
		for _, u := range makers {
			w.trusted[u] = true
		}
		return w.follow(ctx)
	})
}
