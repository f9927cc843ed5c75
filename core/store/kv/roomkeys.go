package kv

import (
	"context"
	"strings"

	"unibus/core"
)

// PutKey stores one more sealed key of the room's current epoch.
func (s *Store) PutKey(ctx context.Context, k core.SealedKey) error {
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
	k.User, k.Rec = user, room.Rec
	row := core.KeyRow(k)
	_, err = s.put(ctx, row.Table.Bucket(), message{key: row.Key, value: row.Value})
	return err
}

// Rekey writes the boxes of the next epoch and its record under a rec of their
// own, and then moves the room there by CAS: the only commit. What a loser
// wrote is garbage that nothing leads to. KindUnavailable: the room may have
// moved or not, but never half.
func (s *Store) Rekey(ctx context.Context, id core.RoomID, from core.Epoch, keys []core.SealedKey) (core.Room, error) {
	room, rev, err := s.roomAt(ctx, id, from)
	if err != nil {
		return core.Room{}, err
	}
	prev := room.Rec
	room.Epoch, room.Rec = from+1, token()
	writes := make([]message, 0, len(keys)+1)
	for _, k := range keys {
		if k.User, err = core.ParseUserID(string(k.User)); err != nil {
			return core.Room{}, err
		}
		k.Room, k.Epoch, k.Rec = id, room.Epoch, room.Rec
		row := core.KeyRow(k)
		writes = append(writes, message{key: row.Key, value: row.Value})
	}
	record := core.RecordRow(core.EpochRecord{Room: id, Epoch: room.Epoch, Rec: room.Rec, Prev: prev})
	writes = append(writes, message{key: record.Key, value: record.Value})
	if _, err := s.commit(ctx, record.Table.Bucket(), writes, rekeyBytes); err != nil {
		return core.Room{}, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Room{}, err
	}
	defer cancel()
	if _, err := s.replace(ctx, core.RoomRow(room), rev); err != nil {
		if core.KindOf(err) == core.KindConflict {
			return core.Room{}, movedOn(id, from)
		}
		return core.Room{}, err
	}
	return room, nil
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
	room, _, err := s.room(ctx, id)
	if err != nil {
		return core.SealedKey{}, err
	}
	if epoch > room.Epoch {
		return core.SealedKey{}, none
	}
	rec, err := s.recAt(ctx, room, epoch)
	if err != nil {
		return core.SealedKey{}, err
	}
	e, ok, err := s.get(ctx, core.TableRoomKeys.Bucket(), core.EpochPrefix(id, epoch, rec)+string(user))
	if err != nil {
		return core.SealedKey{}, err
	}
	if !ok {
		return core.SealedKey{}, none
	}
	k, _, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
	if err != nil {
		return core.SealedKey{}, err
	}
	return *k, nil
}

// nearEpochs is how many epochs back are looked up one by one; for more, the room's records are read as a list.
const nearEpochs = 4

// recAt follows the records of a room from its current epoch back to another.
func (s *Store) recAt(ctx context.Context, room core.Room, epoch core.Epoch) (string, error) {
	prevOf := func(at core.Epoch, rec string) (string, bool, error) {
		e, ok, err := s.get(ctx, core.TableRoomKeys.Bucket(), core.EpochPrefix(room.ID, at, rec)+recordSuffix)
		if err != nil || !ok {
			return "", false, err
		}
		_, r, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
		if err != nil {
			return "", false, err
		}
		return r.Prev, true, nil
	}
	if room.Rec != core.LegacyRec && room.Epoch-epoch > nearEpochs {
		c, err := s.records(ctx, string(room.ID))
		if err != nil {
			return "", err
		}
		prevOf = c.prevOf(room.ID)
	}
	return follow(room, epoch, prevOf)
}

// recordSuffix ends the key of an epoch record (DESIGN D2).
const recordSuffix = "_record"

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

// KeyHolders returns who has a box of the room's current epoch, in the order of their ids.
func (s *Store) KeyHolders(ctx context.Context, id core.RoomID) ([]core.UserID, error) {
	room, err := s.Room(ctx, id)
	if err != nil {
		return nil, err
	}
	t, prefix := core.TableRoomKeys, core.EpochPrefix(id, room.Epoch, room.Rec)
	rows, err := s.rows(ctx, t, scan{bucket: t.Bucket(), filter: prefix + "*", bare: true})
	if err != nil {
		return nil, err
	}
	var holders []core.UserID
	for _, r := range rows {
		if user := strings.TrimPrefix(r.Key, prefix); user != recordSuffix {
			holders = append(holders, core.UserID(user))
		}
	}
	return holders, nil
}

// recordKey is where an epoch record belongs.
type recordKey struct {
	room  core.RoomID
	epoch core.Epoch
	rec   string
}

// chains are epoch records by their keys.
type chains map[recordKey]string // prev

func (c chains) prevOf(room core.RoomID) func(core.Epoch, string) (string, bool, error) {
	return func(at core.Epoch, rec string) (string, bool, error) {
		prev, ok := c[recordKey{room, at, rec}]
		return prev, ok, nil
	}
}

// records reads the epoch records of one room, or of all ("*").
func (s *Store) records(ctx context.Context, room string) (chains, error) {
	t := core.TableRoomKeys
	rows, err := s.rows(ctx, t, scan{bucket: t.Bucket(), filter: room + ".*.*." + recordSuffix})
	if err != nil {
		return nil, err
	}
	c := make(chains, len(rows))
	for _, r := range rows {
		_, record, err := core.DecodeKey(r)
		if err != nil {
			return nil, err
		}
		c[recordKey{record.Room, record.Epoch, record.Rec}] = record.Prev
	}
	return c, nil
}
