package client

import (
	"time"

	"unibus/core"
	"unibus/core/seal"
)

// rekeyState is when this process makes a key for all members, and why.
type rekeyState struct {
	at      time.Time // when it makes a key, unless another member has; zero: none is due
	made    time.Time // when it made the last one
	moved   time.Time // when it last saw the room move to another epoch
	failed  int       // tries to make it that failed, one after the other
	noticed bool      // Send has found that a key is due, and the reconciler has not planned it yet
	asked   bool      // an operator asked this member
	revoked bool      // the last event was a revocation
}

// rekeyDue says whether the room needs another key, and why.
func (v *roomView) rekeyDue(now time.Time, me core.UserID) (seal.Reason, bool) {
	if v.sender == nil || v.info.Room.State == core.RoomArchived || v.isEncrypted() && !v.signed || v.unproven {
		return 0, false
	}
	record := v.sender.Record()
	if v.signed && record.Members == nil { // a key of before the founding: others than the members may have it
		return seal.ReasonOther, true
	}
	// The statements count, whatever a node says of the room: departed is of this key.
	if v.departed || v.info.MustRekey > 0 && v.info.Room.Epoch == record.Epoch || record.Epoch <= v.removedEpoch {
		return v.removalReason(), true
	}
	reason, due := record.RekeyDue(now, v.sender.messages.Load())
	if reason == seal.ReasonAge && record.Maker == me && now.Sub(v.rekey.made) < minRekeyAge {
		return 0, false // this process has just made it for age: the other members' clocks differ
	}
	return reason, due
}

// removalReason is the reason for a key after a removal or revocation.
func (v *roomView) removalReason() seal.Reason {
	switch {
	case v.rekey.asked:
		return seal.ReasonAsked
	case v.rekey.revoked:
		return seal.ReasonRevoked
	}
	return seal.ReasonRemoved
}

// firstKeyDue says whether this member has to make the room's first key, and why.
func (v *roomView) firstKeyDue() (seal.Reason, bool) {
	switch {
	case v.isOwnersFirstKey():
		return seal.ReasonFirst, true
	case v.signed && v.rekey.asked && v.info.MustRekey > 0 && v.hasLegacyKeys() && v.fault == nil && v.info.Room.State != core.RoomArchived:
		return seal.ReasonAsked, true
	}
	return 0, false
}

// isOwnersFirstKey says that the room has never had a key of this kind and that this
// user, its owner, makes it. Rooms of a legacy database have keys of another kind, which
// are replaced once the owner has founded the room anew.
func (v *roomView) isOwnersFirstKey() bool {
	room := v.info.Room
	return v.signed && !v.unproven && room.Encrypted && v.head == nil && v.fault == nil && room.State != core.RoomArchived &&
		room.Rec == core.LegacyRec && v.info.Role == core.MemberOwner
}

// hasLegacyKeys says that the room came from a legacy database with keys that no
// member here can use. The next key is the first of this kind. It is made by Rekey,
// or if an operator has asked this member because a removed one still knows a key.
func (v *roomView) hasLegacyKeys() bool {
	room := v.info.Room
	return room.Encrypted && v.head == nil && room.Rec == core.LegacyRec && (room.Epoch > 0 || v.info.Unkeyed < v.info.Members)
}

// lacksKey says that this process needs the room's key from another member.
func (v *roomView) lacksKey() bool {
	return v.isEncrypted() && v.signed && v.sender == nil && v.over == nil && v.info.Room.Rec != core.LegacyRec && (v.fault == nil || isBoxError(v.fault))
}

// planRekey sets the time at which this process makes a key, if one is due.
func (l *roomLoop) planRekey(now time.Time) (reason seal.Reason, at time.Time, due bool) {
	v := l.snapshot()
	if reason, due = v.rekeyDue(now, l.c.me); !due {
		reason, due = v.firstKeyDue()
	}
	l.rekey.noticed = false
	switch {
	case !due:
		l.rekey.at, l.rekey.failed, l.rekey.asked, l.rekey.revoked = time.Time{}, 0, false, false
	case l.rekey.asked && l.rekey.failed == 0:
		l.rekey.at = now
	case l.rekey.at.IsZero():
		l.rekey.at = now.Add(l.c.timing.delayFor(l.info.Role))
	}
	return reason, l.rekey.at, due
}

// noteRekeyDue has the reconciler plan a key, unless it has done so.
func (l *roomLoop) noteRekeyDue() {
	if l.rekey.at.IsZero() && !l.rekey.noticed {
		l.rekey.noticed = true
		l.room.wake()
	}
}

// postponeRekey sets the time of the next attempt. Earlier wake-ups do not try again:
// a record is work for this process and a write for the nodes.
func (l *roomLoop) postponeRekey(now time.Time) time.Duration {
	wait := jittered(maxRetryWait << min(l.rekey.failed, 3))
	l.rekey.failed++
	l.rekey.at = now.Add(wait)
	return wait
}
