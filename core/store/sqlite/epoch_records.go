package sqlite

import (
	"context"
	"database/sql"

	"unibus/core"
)

// An epoch has one record in the file, or none, and the rec of its keys is that of the
// record. Version 2 holds the records that led to a room's current epoch, and not those
// that a lost rekey left beside them.

// epochOf is where a rec belongs.
type epochOf struct {
	room  core.RoomID
	epoch core.Epoch
}

// recIn is the rec of an epoch's keys.
func recIn(ctx context.Context, tx *sql.Tx, at epochOf) (string, error) {
	rec := ""
	err := tx.QueryRowContext(ctx, "SELECT coalesce((SELECT rec FROM epoch_records WHERE room_id = ? AND epoch = ?), ?)",
		string(at.room), int64(at.epoch), core.LegacyRec).Scan(&rec)
	return rec, err
}

// startEpoch gives an epoch another record. Boxes that are there already belong to
// another key and are deleted.
func (l layout) startEpoch(ctx context.Context, tx *sql.Tx, r core.EpochRecord) error {
	if err := clearEpoch(ctx, tx, epochOf{r.Room, r.Epoch}); err != nil {
		return err
	}
	return l.insertRecord(ctx, tx, r)
}

func clearEpoch(ctx context.Context, tx *sql.Tx, at epochOf) error {
	for _, from := range []string{"room_keys", "epoch_records"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+from+" WHERE room_id = ? AND epoch = ?", string(at.room), int64(at.epoch)); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) insertRecord(ctx context.Context, tx *sql.Tx, r core.EpochRecord) error {
	_, err := tx.ExecContext(ctx, l.records.insert()+
		" ON CONFLICT(room_id, epoch) DO UPDATE SET rec = excluded.rec, record = excluded.record, prev = excluded.prev",
		string(r.Room), int64(r.Epoch), r.Rec, nullableBytes(r.Record), r.Prev)
	return err
}

// insertRec stores the rec of an epoch whose record is not there.
func (l layout) insertRec(ctx context.Context, tx *sql.Tx, at epochOf, rec string) error {
	_, err := tx.ExecContext(ctx, l.records.insert(), string(at.room), int64(at.epoch), rec, nil, nil)
	return err
}

// recordsIn reads the epoch records of a query; an epoch of which only the rec is
// known has none.
func (l layout) recordsIn(ctx context.Context, tx *sql.Tx, tail string, args ...any) (all []core.EpochRecord, err error) {
	err = scan(ctx, tx, l.records, l.records.all(tail), args, func(c *rowDecoder) error {
		if r, there := readRecord(c); there {
			all = append(all, r)
		}
		return c.err()
	})
	return all, err
}

// mentionsOfRecord is what a record says of recs: its epoch has its rec, the one before has its prev.
func mentionsOfRecord(r core.EpochRecord, each func(epochOf, string) error) error {
	if err := each(epochOf{r.Room, r.Epoch}, r.Rec); err != nil || r.Epoch == 0 {
		return err
	}
	return each(epochOf{r.Room, r.Epoch - 1}, r.Prev)
}

// recsIn is the rec of each epoch that the snapshot mentions. KindInvalid where
// one epoch has two: only one of them can have led to the room's present.
func recsIn(in core.Snapshot) (map[epochOf]string, error) {
	recs := map[epochOf]string{}
	note := func(at epochOf, rec string) error {
		if err := core.CheckRecName(rec); err != nil {
			return err
		}
		if have, ok := recs[at]; ok && have != rec {
			return twoRecs(at, have, rec)
		}
		recs[at] = rec
		return nil
	}
	err := firstError(
		checkEach(in.Records, func(r core.EpochRecord) error { return mentionsOfRecord(r, note) }),
		checkEach(in.Rooms, func(r core.Room) error { return note(epochOf{r.ID, r.Epoch}, r.Rec) }),
		checkEach(in.Keys, func(k core.SealedKey) error { return note(epochOf{k.Room, k.Epoch}, k.Rec) }))
	return recs, err
}

func twoRecs(at epochOf, have, rec string) error {
	return core.Errorf(core.KindInvalid, "the epoch %d of the room %s has two recs, %s and %s, and a database holds one", at.epoch, at.room, have, rec).
		WithNext("leave out what a lost rekey left: a room's own rec and the records it leads to say which counts")
}

// setRecs gives the epochs of a snapshot its recs. Boxes under another rec belong
// to another key and are deleted.
func (l layout) setRecs(ctx context.Context, tx *sql.Tx, recs map[epochOf]string) error {
	for at, rec := range recs {
		have, err := recIn(ctx, tx, at)
		if err != nil {
			return err
		}
		if have == rec {
			continue
		}
		if err := clearEpoch(ctx, tx, at); err != nil {
			return err
		}
		if rec != core.LegacyRec {
			if err := l.insertRec(ctx, tx, at, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// Epochs returns the records of a room's epochs, the newest first: see core.Store.
func (s *Store) Epochs(ctx context.Context, room core.RoomID, upto core.Epoch, limit int) (all []core.EpochRecord, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		r, err := s.layout().roomIn(ctx, tx, room)
		if err != nil || !s.layout().hasStates() {
			return err
		}
		upto = min(upto, r.Epoch)
		all, err = s.layout().recordsIn(ctx, tx, "WHERE room_id = ? AND epoch <= ? AND prev IS NOT NULL ORDER BY epoch DESC LIMIT ?", string(room), int64(upto), limit)
		return err
	})
	return all, err
}
