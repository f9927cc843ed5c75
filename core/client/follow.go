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

// follow reads the room and follows its keys. The caller holds the turn. What
// does not fit is the room's fault from then on, until it does.
func (r *Room) follow(ctx context.Context) error {
	r.mu.Lock()
	removals := r.removals
	r.mu.Unlock()
	info, err := request(ctx, r.c, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return r.c.api.Room(ctx, r.id) })
	if out, e := r.isOut(ctx, info, err); out {
		why := membershipOverError(r.id, r.c.me)
		r.end(why)
		return why
	} else if e != nil {
		return e
	}
	before, behind := r.learn(info)
	err = r.keys(ctx, info.Room)
	r.judge(err)
	if err != nil && behind {
		r.withoutKey()
	}
	r.mu.Lock()
	r.reads++
	r.weighed = removals
	r.mu.Unlock()
	if before.ID != "" && changed(before, info.Room) {
		r.c.events.emit(RoomChanged{info.Room})
	}
	r.changed.notify()
	return err
}

// learn notes what was read of the room before its keys are followed, which may
// take long: nothing is sent meanwhile by a key that is due to be replaced. Where
// the room is past the epoch in which this process sends (behind) it sends nothing
// until it has the next key, also where that one cannot be read.
func (r *Room) learn(info control.RoomInfo) (before core.Room, behind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.info = r.info.Room, info
	if behind = r.sender != nil && r.sender.Record().Epoch < info.Room.Epoch; behind {
		r.sender = nil
	}
	return before, behind
}

// isOut says whether this user is no member any more, by the answer to a request
// for the room. A node refuses it to a revoked member too, who may be active
// again tomorrow: only a list of rooms without this one says that it is over.
func (r *Room) isOut(ctx context.Context, info control.RoomInfo, err error) (bool, error) {
	k := core.KindOf(err)
	if err == nil || k != core.KindRefused && k != core.KindNotFound || errors.Is(err, ErrRefused) {
		return err == nil && info.Role == "", err
	}
	rooms, e := request(ctx, r.c, readOnly, func(ctx context.Context) ([]core.Room, error) { return r.c.api.Rooms(ctx) })
	if e != nil {
		return false, e
	}
	return !slices.ContainsFunc(rooms, func(o core.Room) bool { return o.ID == r.id }), err
}

func changed(a, b core.Room) bool {
	name := func(r core.Room) string {
		if r.Name == nil {
			return ""
		}
		return *r.Name
	}
	return name(a) != name(b) || a.Owner != b.Owner || a.State != b.State
}

// judge makes what was found the room's fault, or says that nothing is wrong any more.
func (r *Room) judge(err error) {
	if err != nil && !isSuspicious(err) {
		return // nothing was shown
	}
	r.mu.Lock()
	before := r.fault
	r.fault = err
	r.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		r.c.reportSuspicion(r.id, err)
	}
}

// keys follows the room's records to the epoch that it is said to be at.
func (r *Room) keys(ctx context.Context, room core.Room) error {
	if err := r.chain.Check(room); err != nil && !errors.Is(err, seal.ErrGap) {
		return err
	}
	if !room.Encrypted {
		if !r.Encrypted() {
			return nil
		}
		e := core.Errorf(core.KindRefused, "the room %s is said not to be encrypted, and it was", r.id).
			WithNext("ask another node; if it says the same, suspect the servers")
		e.Err = seal.ErrRollback
		return e
	}
	if err := r.encrypted(ctx); err != nil {
		return err
	}
	head, known := r.chain.Head()
	switch {
	case !known:
		return r.join(ctx, room)
	case head.Epoch < room.Epoch:
		if err := r.catchUp(ctx, room); err != nil {
			return err
		}
		if err := r.chain.Check(room); err != nil {
			return err
		}
	}
	return r.openHead(ctx)
}

// encrypted remembers for good that the room is, and hears what is said in it.
func (r *Room) encrypted(ctx context.Context) error {
	r.mu.Lock()
	was := r.memory.Encrypted
	r.memory.Encrypted = true
	r.dirty = r.dirty || !was
	r.mu.Unlock()
	if !was {
		if err := r.keep(); err != nil {
			return err
		}
	}
	return r.hear(ctx)
}

// box is what the service has for this user of an epoch; ok is false where it has nothing.
func (r *Room) box(ctx context.Context, e core.Epoch) (k control.Key, ok bool, err error) {
	k, err = request(ctx, r.c, readOnly, func(ctx context.Context) (control.Key, error) { return r.c.api.Key(ctx, r.id, e) })
	if core.KindOf(err) == core.KindNotFound {
		return k, false, nil
	}
	return k, err == nil, err
}

// join takes the record of the present epoch on trust, once there is a box by it.
func (r *Room) join(ctx context.Context, room core.Room) error {
	if room.Rec == core.LegacyRec || room.Rec == "" {
		return nil // nobody has made a key yet
	}
	k, ok, err := r.box(ctx, room.Epoch)
	if err != nil || !ok {
		return err
	}
	if k.Record == nil {
		return r.withheld(room.Epoch)
	}
	rec, err := seal.VerifyRecord(*k.Record)
	if err != nil {
		return err
	}
	if rec.Room != room.ID || rec.Epoch != room.Epoch || rec.Rec != room.Rec {
		return wrongRecord(rec, room)
	}
	opened, err := seal.OpenBox(rec, k.Key, r.c.me, r.c.kem)
	if err != nil {
		return err
	}
	if _, err := r.chain.TrustFirst(*k.Record); err != nil {
		return err
	}
	if err := r.moved(); err != nil {
		return err
	}
	r.c.events.emit(Rekeyed{Room: r.id, Epoch: rec.Epoch, Maker: rec.Maker, Reason: rec.Reason, Members: rec.Count, First: true})
	return r.adopt(opened.Key, opened.By, opened.Late)
}

func wrongRecord(rec seal.Record, room core.Room) error {
	e := core.Errorf(core.KindRefused, "the record of %s, rec %s, was shown for the room %s, epoch %d, rec %s", rec.Place, rec.Rec, room.ID, room.Epoch, room.Rec).
		WithNext("ask another node; if it says the same, suspect the servers")
	e.Err = seal.ErrRecord
	return e
}

func (r *Room) withheld(e core.Epoch) error {
	err := core.Errorf(core.KindConflict, "the room %s is at epoch %d, and no record of it is shown", r.id, e).WithNext("it is asked for again")
	err.Err = seal.ErrGap
	return err
}

// openHead opens the box of the head's epoch, unless its key is here.
func (r *Room) openHead(ctx context.Context) error {
	head, _ := r.chain.Head()
	if r.epoch != nil && r.epoch.Record().Hash == head.Hash {
		return nil
	}
	opened, err := r.open(ctx, head)
	if err != nil || opened.Key == nil {
		r.withoutKey()
		return err
	}
	return r.adopt(opened.Key, opened.By, opened.Late)
}

// open opens this user's box of the head's epoch; no key where there is no box.
func (r *Room) open(ctx context.Context, head seal.Head) (seal.OpenedBox, error) {
	k, ok, err := r.box(ctx, head.Epoch)
	if err != nil || !ok {
		return seal.OpenedBox{}, err
	}
	if k.Record == nil {
		return seal.OpenedBox{}, r.withheld(head.Epoch)
	}
	if k.Record.Epoch > head.Epoch { // the chain would ask for the key that is looked for
		return seal.OpenedBox{}, r.withheld(head.Epoch)
	}
	rec, err := r.chain.Advance(*k.Record, nil) // the head's own, or it is found out
	if err != nil {
		return seal.OpenedBox{}, err
	}
	return seal.OpenBox(rec, k.Key, r.c.me, r.c.kem)
}

// catchUp follows the records from the head to the epoch of the room.
func (r *Room) catchUp(ctx context.Context, room core.Room) error {
	head, _ := r.chain.Head()
	rows, err := r.records(ctx, room.Epoch, head.Epoch)
	if err != nil {
		return err
	}
	lastKey, fault := r.epoch, error(nil)
	if lastKey == nil || lastKey.Record().Hash != head.Hash {
		var opened seal.OpenedBox
		if opened, fault = r.open(ctx, head); fault != nil && !isSuspicious(fault) {
			return fault
		}
		lastKey = opened.Key
	}
	var events []Event
	for _, row := range rows {
		var rec seal.Record
		var linked bool
		if rec, linked, err = r.advance(row, lastKey, fault); err != nil {
			break
		}
		events = append(events, Rekeyed{Room: r.id, Epoch: rec.Epoch, Maker: rec.Maker, Reason: rec.Reason, Members: rec.Count, Unlinked: !linked})
		at, _ := r.chain.Head()
		var opened seal.OpenedBox
		if opened, fault = r.open(ctx, at); fault != nil && !isSuspicious(fault) {
			break
		}
		lastKey = opened.Key
	}
	if len(events) == 0 {
		return err
	}
	r.epoch, r.duty.moved = nil, time.Now()
	if e := r.moved(); e != nil { // as far as it was followed, also where the next one does not fit
		return errors.Join(err, e)
	}
	for _, e := range events {
		r.c.events.emit(e)
	}
	if err == nil {
		err = fault
	}
	if err != nil {
		r.withoutKey()
	}
	return err
}

// advance follows one record. Where the key before it is not here, only a record
// of this user's own or of a maker who is trusted is followed.
func (r *Room) advance(row core.EpochRecord, prev *seal.EpochKey, why error) (rec seal.Record, linked bool, err error) {
	if prev != nil {
		rec, err = r.chain.Advance(row, prev)
		return rec, true, err
	}
	if rec, err = seal.VerifyRecord(row); err != nil {
		return rec, false, err
	}
	if rec.Maker == r.c.me || r.trust[rec.Maker] {
		rec, err = r.chain.AdvanceUnlinked(row)
		return rec, false, err
	}
	if why != nil {
		return rec, false, why
	}
	return rec, false, newFault(core.KindRefused, ErrUnlinked, "%s was made by %s, and the key before it is not here: nothing shows that %s was a member",
		rec.Place, rec.Maker, rec.Maker.Short()).WithNext("ask somebody you know whether that is right, then use Trust or RoomTrusting with that id")
}

// records are those above an epoch, in order, up to another one.
func (r *Room) records(ctx context.Context, upto, above core.Epoch) ([]core.EpochRecord, error) {
	var rows []core.EpochRecord
	for at := upto; ; {
		page, err := request(ctx, r.c, readOnly, func(ctx context.Context) (control.Epochs, error) {
			return r.c.api.Epochs(ctx, control.EpochsRequest{Room: string(r.id), Upto: &at})
		})
		if err != nil {
			return nil, err
		}
		for _, row := range page.Records {
			if row.Epoch > above && row.Epoch <= upto {
				rows = append(rows, row)
			}
		}
		if page.Next == nil || *page.Next <= above || *page.Next >= at {
			slices.Reverse(rows)
			return rows, nil
		}
		at = *page.Next
	}
}

// moved keeps the chain's head: what was followed is never followed less far.
func (r *Room) moved() error {
	head, _ := r.chain.Head()
	r.mu.Lock()
	r.memory.Head, r.memory.Marks, r.marks = &head, nil, map[core.UserID]core.Millis{}
	r.dirty = true
	r.mu.Unlock()
	return r.keep()
}

// adopt sends and receives with a key from now on.
func (r *Room) adopt(k *seal.EpochKey, by core.UserID, late bool) error {
	if err := r.receiver.Advance(k); err != nil {
		return err
	}
	s, err := seal.NewSender(seal.SenderConfig{Key: k, By: r.c.id})
	if err != nil {
		return err
	}
	r.epoch = k
	r.mu.Lock()
	r.sender, r.count = s, 0
	r.mu.Unlock()
	r.changed.notify()
	if late {
		r.c.events.emit(KeyGiven{Room: r.id, Epoch: k.Record().Epoch, To: r.c.me, By: by})
	}
	return nil
}

// withoutKey stops sending: there is no key of the room's epoch here.
func (r *Room) withoutKey() {
	r.epoch = nil
	r.mu.Lock()
	r.sender = nil
	r.mu.Unlock()
	r.changed.notify()
}

// Trust lets the room's keys go on from epochs that these users have made
// although this process cannot see that they were members, because it has no key
// of the epoch before; see ErrUnlinked. Ask a person first. It holds as long as the room is open.
func (r *Room) Trust(ctx context.Context, makers ...core.UserID) error {
	ctx, cancel := context.WithTimeout(ctx, r.c.cfg.Timeout)
	defer cancel()
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.pass()
	for _, u := range makers {
		r.trust[u] = true
	}
	defer r.kick()
	return r.follow(ctx)
}
