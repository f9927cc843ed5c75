package kv

import (
	"context"

	"unibus/core"
)

// exportFromWatch reads the rows that count, by another way than ExportRows: rows that lost rekeys left
// behind do not count. Rooms are read before keys: the keys of an epoch are written before the room is set
// to it, so no room comes without its keys.
func exportFromWatch(ctx context.Context, s *Store) (core.Snapshot, error) {
	var out core.Snapshot
	var err error
	if out.Users, err = s.Users(ctx); err != nil {
		return core.Snapshot{}, err
	}
	if out.Rooms, err = s.Rooms(ctx); err != nil {
		return core.Snapshot{}, err
	}
	if out.Members, err = list(ctx, s, core.TableMembers, func(r record) core.Member { return cloneMember(*r.member) }); err != nil {
		return core.Snapshot{}, err
	}
	rows, err := s.rows(ctx, core.TableRoomKeys, scan{bucket: core.TableRoomKeys.Bucket(), filter: everything})
	if err != nil {
		return core.Snapshot{}, err
	}
	err = addKeys(&out, rows)
	return out, err
}

func addKeys(out *core.Snapshot, rows []core.Row) error {
	var keys []core.SealedKey
	var records []core.EpochRecord
	c := recordChains{}
	for _, r := range rows {
		k, record, err := core.DecodeKey(r)
		if err != nil {
			return err
		}
		if record != nil {
			records = append(records, *record)
			c[recordKey{record.Room, record.Epoch, record.Rec}] = record.Prev
		} else {
			keys = append(keys, *k)
		}
	}
	valid := make(countedRecs, len(out.Rooms))
	for _, r := range out.Rooms {
		valid[string(r.ID)], _ = recsOf(r, c.prevOf(r.ID)) // a map gives no error
	}
	for _, k := range keys {
		if valid.has(core.KeyRow(k).Key) {
			out.Keys = append(out.Keys, k)
		}
	}
	for _, r := range records {
		if valid.has(core.RecordRow(r).Key) {
			out.Records = append(out.Records, r)
		}
	}
	return nil
}

// rows collects a table, for a caller that holds all of it anyway.
func (s *Store) rows(ctx context.Context, t core.Table, q scan) (rows []core.Row, err error) {
	err = s.eachRow(ctx, t, q, func(r core.Row) error {
		rows = append(rows, r)
		return nil
	})
	return rows, err
}
