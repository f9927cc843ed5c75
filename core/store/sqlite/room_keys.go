package sqlite

import (
	"cmp"
	"context"
	"database/sql"

	"unibus/core"
)

// PutKey stores one more sealed key of the room's current epoch: see core.Store.
// A box that is there already is replaced.
func (s *Store) PutKey(ctx context.Context, k core.SealedKey) error {
	if err := checkKey(k); err != nil {
		return err
	}
	return s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		r, err := s.layout().roomIn(ctx, tx, k.Room)
		if err != nil {
			return err
		}
		if r.Epoch != k.Epoch {
			return movedOn(r, k.Epoch)
		}
		if err := userKnown(ctx, tx, k.User); err != nil {
			return err
		}
		if err := s.layout().putKey(ctx, tx, k); err != nil {
			return err
		}
		return s.layout().confirmKeys(ctx, tx, r.Rec, k)
	})
}

// keysOfNext returns the keys with the epoch that the store sets. The rec of a key
// is not stored: it is that of its epoch.
func keysOfNext(room core.RoomID, from core.Epoch, keys []core.SealedKey) ([]core.SealedKey, error) {
	if err := core.CheckEpoch(room, from+1); err != nil {
		return nil, err
	}
	next := make([]core.SealedKey, len(keys))
	seen := make(map[core.UserID]bool, len(keys))
	for i, k := range keys {
		k.Epoch = from + 1
		switch {
		case k.Room != room:
			return nil, core.Errorf(core.KindInvalid, "a box for the room %s was given to a rekey of the room %s", k.Room, room)
		case seen[k.User]:
			return nil, core.Errorf(core.KindInvalid, "the rekey of the room %s has two boxes for %s", room, k.User)
		}
		if err := checkKey(k); err != nil {
			return nil, err
		}
		seen[k.User], next[i] = true, k
	}
	return next, nil
}

// Key returns the box of one member in one epoch: see core.Store.
func (s *Store) Key(ctx context.Context, room core.RoomID, epoch core.Epoch, user core.UserID) (k core.SealedKey, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		r, err := s.layout().roomIn(ctx, tx, room)
		if err != nil {
			return err
		}
		var found []core.SealedKey
		if epoch <= r.Epoch { // which also keeps it inside SQLite's integers
			found, err = list(ctx, tx, s.layout().keys, readKey, whereKey, string(room), int64(epoch), string(user))
		}
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return core.Errorf(core.KindNotFound, "the room %s has no key of epoch %d for %s", room, epoch, user)
		}
		k = found[0]
		return nil
	})
	return k, err
}

func movedOn(r core.Room, asked core.Epoch) error {
	return core.Errorf(core.KindConflict, "the room %s is at epoch %d, not %d", r.ID, r.Epoch, asked).
		WithNext("read the room again and decide again")
}

// putKey writes a box in place of the row that an old file may have in another
// case.
func (l layout) putKey(ctx context.Context, tx *sql.Tx, k core.SealedKey) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM room_keys "+whereKey, string(k.Room), int64(k.Epoch), string(k.User))
	if err != nil {
		return err
	}
	return l.insertKey(ctx, tx, k)
}

func (l layout) insertKey(ctx context.Context, tx *sql.Tx, k core.SealedKey) error {
	_, err := tx.ExecContext(ctx, l.keys.insert(),
		string(k.Room), int64(k.Epoch), string(k.User), k.Box, nullableText(k.SealedBy), int64(k.Created))
	return err
}

// checkKey refuses what cannot be held. A key without a rec is given one by the store.
func checkKey(k core.SealedKey) error {
	k.Rec = cmp.Or(k.Rec, core.LegacyRec)
	return core.CheckKey(k)
}

// KeyHolders returns the users that have a box of the room's current epoch: see
// core.Store.
func (s *Store) KeyHolders(ctx context.Context, room core.RoomID) (ids []core.UserID, err error) {
	var keys []core.SealedKey
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		r, err := s.layout().roomIn(ctx, tx, room)
		if err != nil {
			return err
		}
		keys, err = list(ctx, tx, s.layout().keys, readKey, "WHERE room_id = ? AND epoch = ? ORDER BY upper(user_id)", string(room), int64(r.Epoch))
		return err
	})
	for _, k := range keys {
		ids = append(ids, k.User)
	}
	return ids, err
}
