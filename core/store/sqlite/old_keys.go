package sqlite

import (
	"context"
	"database/sql"

	"unibus/core"
)

// DeleteOldKeys deletes the boxes of epochs that were over before a time: see core.Store.
// A file of version 1 has no records, and nothing of it is deleted.
func (s *Store) DeleteOldKeys(ctx context.Context, before core.Millis, limit int) (deleted int, err error) {
	var old []epochOf
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if s.layout().hasStates() {
			old, err = oldEpochs(ctx, tx, before)
		}
		return err
	})
	if err != nil || len(old) == 0 { // without a write where there is nothing to delete
		return 0, err
	}
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		deleted = 0
		for _, at := range old {
			n, err := deleteKeys(ctx, tx, at, limit-deleted)
			if deleted += n; err != nil || deleted >= limit {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// oldEpochs are the epochs that have boxes and were over before a time. A later epoch of
// the same room had a box by then.
func oldEpochs(ctx context.Context, tx *sql.Tx, before core.Millis) (old []epochOf, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT k.room_id, k.epoch, min(CASE WHEN typeof(k.created_at) = 'integer' THEN k.created_at END)
		FROM room_keys k JOIN epoch_records e ON e.room_id = k.room_id AND e.epoch = k.epoch AND e.rec <> ?
		JOIN rooms r ON r.id = k.room_id AND k.epoch <= r.epoch
		GROUP BY k.room_id, k.epoch ORDER BY k.room_id, k.epoch DESC`, core.LegacyRec)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var later epochOf // of the room, had a box before the time
	for rows.Next() {
		var room string
		var epoch int64
		var began sql.NullInt64
		if err := rows.Scan(&room, &epoch, &began); err != nil {
			return nil, err
		}
		at := epochOf{core.RoomID(room), core.Epoch(epoch)}
		switch {
		case later.room == at.room:
			old = append(old, at)
		case began.Valid && core.Millis(began.Int64) <= before:
			later = at
		}
	}
	return old, rows.Err()
}

// deleteKeys deletes boxes of one epoch, at most limit, and reads back that they are gone.
func deleteKeys(ctx context.Context, tx *sql.Tx, at epochOf, limit int) (int, error) {
	before, err := countKeys(ctx, tx, at)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM room_keys WHERE room_id = ?1 AND epoch = ?2 AND user_id IN
		(SELECT user_id FROM room_keys WHERE room_id = ?1 AND epoch = ?2 ORDER BY user_id LIMIT ?3)`, string(at.room), int64(at.epoch), limit)
	if err != nil {
		return 0, err
	}
	left, err := countKeys(ctx, tx, at)
	if err == nil && left != before-min(before, limit) {
		err = core.Errorf(core.KindFailed, "of %d keys of the room %s, epoch %d, %d are left after %d were deleted", before, at.room, at.epoch, left, min(before, limit)).
			WithNext("unibusd doctor")
	}
	return before - left, err
}

func countKeys(ctx context.Context, tx *sql.Tx, at epochOf) (n int, err error) {
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM room_keys WHERE room_id = ? AND epoch = ?", string(at.room), int64(at.epoch)).Scan(&n)
	return n, err
}
