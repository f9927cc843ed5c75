package kv

import (
	"context"
	"sync"

	"unibus/core"
)

// PutKey stores one more sealed key of the room's current epoch.
func (s *Store) PutKey(ctx context.Context, k core.SealedKey) (failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	user, err := core.ParseUserID(string(k.User))
	if err != nil {
		return err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	room, _, err := s.room(ctx, k.Room)
	if err != nil {
		return err
	}
	if room.Epoch != k.Epoch {
		return core.Errorf(core.KindConflict, "the room %s is at epoch %d, and the key is of epoch %d", room.ID, room.Epoch, k.Epoch).
			WithNext("seal the key of epoch %d", room.Epoch)
	}
	if _, _, err := s.user(ctx, user); err != nil { // an orphan could never be moved back to a database
		return err
	}
	k.User, k.Rec = user, room.Rec
	if err := core.CheckKey(k); err != nil {
		return err
	}
	row := core.KeyRow(k)
	_, err = s.set(ctx, message{key: row.Key, value: row.Value}, row.Table)
	return err
}

func (s *Store) roomAt(ctx context.Context, id core.RoomID, epoch core.Epoch) (core.Room, uint64, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Room{}, 0, err
	}
	defer cancel()
	room, rev, err := s.room(ctx, id)
	if err == nil && room.Epoch != epoch {
		err = movedOn(id, epoch)
	}
	return room, rev, err
}

func movedOn(id core.RoomID, from core.Epoch) error {
	return core.Errorf(core.KindConflict, "the room %s is no longer at epoch %d, or was changed meanwhile", id, from).
		WithNext("read the room again and rekey from its epoch")
}

// Key returns the box of one member in one epoch that led to the room's current one.
func (s *Store) Key(ctx context.Context, id core.RoomID, epoch core.Epoch, user core.UserID) (core.SealedKey, error) {
	none := core.Errorf(core.KindNotFound, "there is no key of the room %s, epoch %d, for %s", id, epoch, user.Short())
	user, err := core.ParseUserID(string(user))
	if err != nil {
		return core.SealedKey{}, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.SealedKey{}, err
	}
	defer cancel()
	room, err := s.roomWithKeys(ctx, id)
	if err != nil {
		return core.SealedKey{}, err
	}
	if epoch > room.Epoch {
		return core.SealedKey{}, none
	}
	rec, err := follow(room, epoch, s.prevOf(ctx, id))
	if err != nil {
		return core.SealedKey{}, err
	}
	key := core.EpochPrefix(id, epoch, rec) + string(user)
	if _, there, err := s.buckets[core.TableRoomKeys].find(key); err != nil || !there {
		return core.SealedKey{}, firstError(err, none)
	}
	e, ok, err := s.get(ctx, core.TableRoomKeys.Bucket(), key)
	if err != nil || !ok {
		return core.SealedKey{}, firstError(err, errBehind(core.TableRoomKeys))
	}
	k, _, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
	if err != nil {
		return core.SealedKey{}, err
	}
	return *k, nil
}

// errBehind is for a leader that lacks what the watch has: it was deposed and does
// not know it.
func errBehind(t core.Table) error {
	return core.Errorf(core.KindUnavailable, "reading %s: the node that answered lacks a record that is known to be there", t.Bucket()).WithNext(nextQuorum)
}

// roomWithKeys is a room, with the index of keys as current as the room.
func (s *Store) roomWithKeys(ctx context.Context, id core.RoomID) (core.Room, error) {
	if _, err := core.ParseRoomID(string(id)); err != nil {
		return core.Room{}, err
	}
	if err := s.awaitProof(ctx, core.TableRooms, core.TableRoomKeys); err != nil {
		return core.Room{}, err
	}
	room, _, err := s.seenRoom(id)
	return room, err
}

// chainCache remembers which rec came before which. A record never changes: its rec is random.
type chainCache struct {
	mu   sync.Mutex
	prev map[recordKey]string
}

func (c *chainCache) get(k recordKey) (prev string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prev, ok = c.prev[k]
	return prev, ok
}

func (c *chainCache) put(k recordKey, prev string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.prev == nil {
		c.prev = map[recordKey]string{}
	}
	c.prev[k] = prev
}

// prevOf finds the records of a room: the index says whether there is one, and the
// leader is asked once for what is in it.
func (s *Store) prevOf(ctx context.Context, id core.RoomID) func(core.Epoch, string) (string, bool, error) {
	return func(at core.Epoch, rec string) (string, bool, error) {
		k := recordKey{id, at, rec}
		if prev, ok := s.chains.get(k); ok {
			return prev, true, nil
		}
		key := core.EpochPrefix(id, at, rec) + core.RecordSuffix
		if _, there, err := s.buckets[core.TableRoomKeys].find(key); err != nil || !there {
			return "", false, err
		}
		e, ok, err := s.get(ctx, core.TableRoomKeys.Bucket(), key)
		if err != nil || !ok {
			return "", false, firstError(err, errBehind(core.TableRoomKeys))
		}
		_, r, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
		if err != nil {
			return "", false, err
		}
		s.chains.put(k, r.Prev)
		return r.Prev, true, nil
	}
}

// follow goes back from a room's rec to that of an earlier epoch. From
// core.LegacyRec on, every lower epoch has it too.
func follow(room core.Room, epoch core.Epoch, prevOf func(core.Epoch, string) (string, bool, error)) (string, error) {
	rec := room.Rec
	for at := room.Epoch; at > epoch && rec != core.LegacyRec; at-- {
		prev, ok, err := prevOf(at, rec)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", core.Errorf(core.KindFailed, "the record of the room %s, epoch %d, is missing: earlier keys cannot be found", room.ID, at)
		}
		rec = prev
	}
	return rec, nil
}

// KeyHolders returns the users that have a box of the room's current epoch, in the
// order of their ids.
func (s *Store) KeyHolders(ctx context.Context, id core.RoomID) ([]core.UserID, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	room, err := s.roomWithKeys(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.holdersOf(id, room.Epoch, room.Rec)
}

// recordKey is where an epoch record belongs.
type recordKey struct {
	room  core.RoomID
	epoch core.Epoch
	rec   string
}

// recordChains maps each epoch record to the record before it.
type recordChains map[recordKey]string // prev

func (c recordChains) prevOf(room core.RoomID) func(core.Epoch, string) (string, bool, error) {
	return func(at core.Epoch, rec string) (string, bool, error) {
		prev, ok := c[recordKey{room, at, rec}]
		return prev, ok, nil
	}
}
