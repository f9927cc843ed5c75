package client

import (
	"time"

	"unibus/core"
	"unibus/core/seal"
)

// due says whether the room needs another key, and why. The caller holds mu.
func (r *Room) due(now time.Time) (seal.Reason, bool) {
	switch {
	case r.sender == nil || r.info.Room.State == core.RoomArchived:
		return 0, false
	case r.info.MustRekey > 0 && r.info.Room.Epoch == r.sender.Record().Epoch, r.sender.Record().Epoch <= r.spent:
		return r.reason(), true
	}
	reason, due := r.sender.Record().RekeyDue(now, r.count)
	if reason == seal.ReasonAge && r.sender.Record().Maker == r.c.me && now.Sub(r.duty.made) < minRekeyAge {
		return 0, false // this clock has just said so: it is the others' that differ
	}
	return reason, due
}

// reason is why people who may not read any more make a new key due. The caller holds mu.
func (r *Room) reason() seal.Reason {
	switch {
	case r.duty.asked:
		return seal.ReasonAsked
	case r.duty.revoked:
		return seal.ReasonRevoked
	}
	return seal.ReasonRemoved
}

// wantsFirstKey says that the room has never had a key, and that it is this
// user's to make it. Rooms of a legacy database have keys of another kind: nobody replaces them unasked.
func (r *Room) wantsFirstKey() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wantsFirstKeyLocked()
}

func (r *Room) wantsFirstKeyLocked() bool {
	room := r.info.Room
	return room.Encrypted && r.memory.Head == nil && r.fault == nil && room.State != core.RoomArchived &&
		room.Epoch == 0 && room.Rec == core.LegacyRec && r.info.Role == core.MemberOwner && r.info.Unkeyed == r.info.Members
}

// hasMovedKeys says that the room came from a legacy database with keys that are
// of use to no member here. The next key is the first of this kind, and it is made
// where a person wants it: by Rekey, or where an operator has asked this member
// because somebody still knows a key who should not. The caller holds mu.
func (r *Room) hasMovedKeys() bool {
	room := r.info.Room
	return room.Encrypted && r.memory.Head == nil && room.Rec == core.LegacyRec && (room.Epoch > 0 || r.info.Unkeyed < r.info.Members)
}

// firstDue says whether this member has to make the room's first key, and why. The caller holds mu.
func (r *Room) firstDue() (seal.Reason, bool) {
	switch {
	case r.wantsFirstKeyLocked():
		return seal.ReasonFirst, true
	case r.duty.asked && r.info.MustRekey > 0 && r.hasMovedKeys() && r.fault == nil && r.info.Room.State != core.RoomArchived:
		return seal.ReasonAsked, true
	}
	return 0, false
}

// postpone says when the next try to make a key is, whatever has the room looked
// at before: a record is work for this process and a write for the nodes.
func (r *Room) postpone() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := jittered(maxRetryWait << min(r.duty.failed, 3))
	r.duty.failed++
	r.duty.at = time.Now().Add(wait)
	return wait
}
