package kv

import (
	"context"
	"maps"
	"slices"

	"unibus/core"
)

// StageKeys writes boxes of the next epoch under rec: see core.Store.
func (s *Store) StageKeys(ctx context.Context, id core.RoomID, from core.Epoch, rec string, keys []core.SealedKey) (failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	if _, err := s.roomToRekey(ctx, id, from, rec); err != nil {
		return err
	}
	writes := make([]message, 0, len(keys))
	for _, k := range keys {
		var err error
		if k.User, err = core.ParseUserID(string(k.User)); err != nil {
			return err
		}
		k.Room, k.Epoch, k.Rec = id, from+1, rec
		if err := core.CheckKey(k); err != nil {
			return err
		}
		row := core.KeyRow(k)
		writes = append(writes, message{key: row.Key, value: row.Value})
	}
	if err := s.usersThere(ctx, keys); err != nil {
		return err
	}
	_, err := s.commit(ctx, core.TableRoomKeys, writes, rekeyBytes, asUser)
	return err
}

// roomAndRev is a room and the revision it was read at.
type roomAndRev struct {
	room core.Room
	rev  uint64
}

// roomToRekey reads a room that is at an epoch and may leave it.
func (s *Store) roomToRekey(ctx context.Context, id core.RoomID, from core.Epoch, rec string) (roomAndRev, error) {
	if _, err := core.ParseRec(rec); err != nil {
		return roomAndRev{}, err
	}
	if err := core.CheckEpoch(id, from+1); err != nil {
		return roomAndRev{}, err
	}
	room, rev, err := s.roomAt(ctx, id, from)
	switch {
	case err != nil:
		return roomAndRev{}, err
	case room.State == core.RoomArchived:
		return roomAndRev{}, core.ErrArchived(id)
	case room.Rec == rec:
		return roomAndRev{}, core.Errorf(core.KindInvalid, "the record %s is that of the room's present epoch", rec).WithNext("make another name")
	}
	return roomAndRev{room, rev}, nil
}

// usersThere refuses a box for an unknown user: an orphan could never be moved
// back to a database. Users are never deleted, so once is enough.
func (s *Store) usersThere(ctx context.Context, keys []core.SealedKey) error {
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableUsers); err != nil {
		return err
	}
	for _, k := range keys {
		id, err := core.ParseUserID(string(k.User))
		if err != nil {
			return err
		}
		if _, ok, err := s.buckets[core.TableUsers].find(string(id)); err != nil || !ok {
			return firstError(err, core.Errorf(core.KindNotFound, "there is no user %s, for whom a box was given", id.Short()))
		}
	}
	return nil
}

// StagedFor returns the users that have a staged box: see core.Store.
func (s *Store) StagedFor(ctx context.Context, id core.RoomID, from core.Epoch, rec string) ([]core.UserID, error) {
	if _, err := s.roomToRekey(ctx, id, from, rec); err != nil {
		return nil, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableRoomKeys); err != nil {
		return nil, err
	}
	return s.holdersOf(id, from+1, rec)
}

// holdersOf returns the users that have a box under a rec, as the watch has it.
func (s *Store) holdersOf(id core.RoomID, epoch core.Epoch, rec string) (users []core.UserID, err error) {
	prefix := core.EpochPrefix(id, epoch, rec)
	err = s.buckets[core.TableRoomKeys].read(func(t *table) {
		for _, name := range slices.Sorted(maps.Keys(t.namesByPrefix[prefix[:len(prefix)-1]])) {
			if name != core.RecordSuffix {
				users = append(users, core.UserID(name))
			}
		}
	})
	return users, err
}

// CommitRekey writes the record and then moves the room by CAS, the only commit: see core.Store.
func (s *Store) CommitRekey(ctx context.Context, id core.RoomID, from core.Epoch, rec string, record []byte) (_ core.Room, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	was, err := s.roomToRekey(ctx, id, from, rec)
	if err != nil {
		return core.Room{}, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Room{}, err
	}
	defer cancel()
	row := core.RecordRow(core.EpochRecord{Room: id, Epoch: from + 1, Rec: rec, Prev: was.room.Rec, Record: record})
	if _, err := s.set(ctx, message{key: row.Key, value: row.Value}, row.Table); err != nil {
		return core.Room{}, err
	}
	next := was.room
	next.Epoch, next.Rec = from+1, rec
	if _, err := s.replace(ctx, core.RoomRow(next), was.rev); err != nil {
		if core.KindOf(err) == core.KindConflict {
			return core.Room{}, movedOn(id, from)
		}
		return core.Room{}, err
	}
	return next, nil
}

// Epochs follows the records back from the room's rec: see core.Store.
func (s *Store) Epochs(ctx context.Context, id core.RoomID, upto core.Epoch, limit int) (records []core.EpochRecord, err error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	room, err := s.roomWithKeys(ctx, id)
	if err != nil {
		return nil, err
	}
	upto = min(upto, room.Epoch)
	rec, err := follow(room, upto, s.prevOf(ctx, id))
	for ; err == nil && rec != core.LegacyRec && len(records) < limit; upto-- {
		var r core.EpochRecord
		if r, err = s.record(ctx, recordKey{id, upto, rec}); err != nil {
			break
		}
		records = append(records, r)
		if rec = r.Prev; upto == 0 {
			break
		}
	}
	return records, err
}

func (s *Store) record(ctx context.Context, k recordKey) (core.EpochRecord, error) {
	e, ok, err := s.get(ctx, core.TableRoomKeys.Bucket(), core.EpochPrefix(k.room, k.epoch, k.rec)+core.RecordSuffix)
	if err != nil {
		return core.EpochRecord{}, err
	}
	if !ok {
		return core.EpochRecord{}, core.Errorf(core.KindFailed, "the record of the room %s, epoch %d, is missing", k.room, k.epoch)
	}
	_, r, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
	if err != nil {
		return core.EpochRecord{}, err
	}
	s.chains.put(k, r.Prev)
	return *r, nil
}
