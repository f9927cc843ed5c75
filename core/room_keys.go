package core

import (
	"context"
	"time"
)

// KeyRetention is how long the boxes of an epoch stay after it is over. A client that was
// away for longer follows the records without them, and deletes the private keys of
// former times.
const KeyRetention = 30 * 24 * time.Hour

// EpochTries is how often AtOneEpoch reads a room that goes on to another epoch meanwhile.
const EpochTries = 8

// AtOneEpoch gives read the holders of a room's current epoch, and returns the
// room as it is after that. was is the room as it was read before. If it has gone
// on to another epoch in between, all is read again: the boxes of one epoch never
// stand beside the room at another, which would look as if no removed member had
// its key. It costs no proof beyond that of the boxes. KindUnavailable where the
// room goes on again and again.
func AtOneEpoch(ctx context.Context, st Store, was Room, read func(holders []UserID) error) (Room, error) {
	for range EpochTries {
		holders, err := st.KeyHolders(ctx, was.ID)
		if err != nil {
			return Room{}, err
		}
		if err := read(holders); err != nil {
			return Room{}, err
		}
		now, err := st.Room(Unproven(ctx), was.ID) // the boxes came by a proof that the room is as current
		if err != nil || now.Epoch == was.Epoch && now.Rec == was.Rec {
			return now, err
		}
		was = now
	}
	return Room{}, Errorf(KindUnavailable, "the room %s was rekeyed again and again while it was read", was.ID).WithNext("try again")
}

// RoomKeys are the members of a room and the holders of its current key, at one
// moment.
type RoomKeys struct {
	Room    Room
	Members []UserID // active ones, in order
	Holders []UserID // of a box of the current epoch, in order; KeyHolders
}

// Unkeyed are the active members who are active users and have no box: they cannot
// read. active is true for an active user.
func (k RoomKeys) Unkeyed(active func(UserID) bool) []UserID {
	return without(k.Members, k.Holders, active)
}

// MustRekey are the holders of a box who may not read any more, because they were
// removed from the room or revoked as users. While there is one, the room needs a
// new key.
func (k RoomKeys) MustRekey(active func(UserID) bool) []UserID {
	member := make(map[UserID]bool, len(k.Members))
	for _, id := range k.Members {
		member[id] = true
	}
	var out []UserID
	for _, id := range k.Holders {
		if !member[id] || !active(id) {
			out = append(out, id)
		}
	}
	return out
}

// CanRekey are the active members who are active users and have a box: the record
// of a new epoch is linked to the key of the one before (core/seal).
func (k RoomKeys) CanRekey(active func(UserID) bool) []UserID {
	holds := make(map[UserID]bool, len(k.Holders))
	for _, id := range k.Holders {
		holds[id] = true
	}
	return without(k.Members, nil, func(id UserID) bool { return holds[id] && active(id) })
}

// without returns those of all that keep accepts and that are not among others.
func without(all, others []UserID, keep func(UserID) bool) []UserID {
	skip := make(map[UserID]bool, len(others))
	for _, id := range others {
		skip[id] = true
	}
	var out []UserID
	for _, id := range all {
		if !skip[id] && keep(id) {
			out = append(out, id)
		}
	}
	return out
}
