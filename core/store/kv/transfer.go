package kv

import (
	"context"
	"strconv"
	"strings"

	"unibus/core"
)

// validity says of every room which rec counts in which epoch.
type validity map[string]roomRecs

type roomRecs struct {
	recs   map[core.Epoch]string // of epochs that have records
	legacy core.Epoch            // one above the highest epoch whose rec is core.LegacyRec; 0: none
}

// validRecs follows every room's records back from its rec.
func (s *Store) validRecs(ctx context.Context, rooms []core.Room) (validity, error) {
	valid := make(validity, len(rooms))
	for _, r := range rooms {
		recs, err := recsOf(r, s.prevOf(ctx, r.ID))
		if err != nil {
			return nil, err
		}
		valid[string(r.ID)] = recs
	}
	return valid, nil
}

// recsOf collects the recs that led to a room's current one. Where a record is
// missing the chain ends, and what lies before it is out of reach, as for Key.
func recsOf(room core.Room, prevOf func(core.Epoch, string) (string, bool, error)) (roomRecs, error) {
	v := roomRecs{recs: map[core.Epoch]string{}}
	rec := room.Rec
	for at := room.Epoch; ; at-- {
		if rec == core.LegacyRec {
			v.legacy = at + 1
			return v, nil
		}
		v.recs[at] = rec
		prev, ok, err := prevOf(at, rec)
		if err != nil || !ok || at == 0 {
			return v, err
		}
		rec = prev
	}
}

// has says whether a key of the table room_keys led to its room's current one.
// Keys of another form count: whoever decodes them must see them.
func (v validity) has(key string) bool {
	parts := strings.Split(key, ".")
	if len(parts) != 4 {
		return true
	}
	n, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return true
	}
	r, ok := v[parts[0]]
	if !ok {
		return false
	}
	epoch, rec := core.Epoch(n), parts[2]
	if rec == core.LegacyRec {
		return epoch < r.legacy
	}
	return r.recs[epoch] == rec
}

// Export returns everything that counts: what lost rekeys left behind does not.
// Rooms are read before keys: what a room leads to was written before it was
// moved there, so no room comes without its keys.
func (s *Store) Export(ctx context.Context) (core.Snapshot, error) {
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
	c := chains{}
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
	valid := make(validity, len(out.Rooms))
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

// Import writes a snapshot over what is there and returns how many keys it put;
// equal ones are not written, what the snapshot lacks is left alone.
func (s *Store) Import(ctx context.Context, snap core.Snapshot) (written int, err error) {
	for _, t := range core.Tables() {
		n, err := s.PutRows(ctx, snap.Rows(t))
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
