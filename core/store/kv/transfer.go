package kv

import (
	"context"
	"strconv"
	"strings"

	"unibus/core"
)

// Counts is how much there is. It reads keys alone where they say enough.
func (s *Store) Counts(ctx context.Context) (core.Counts, error) {
	var n core.Counts
	users, err := s.rows(ctx, core.TableUsers, scan{bucket: core.TableUsers.Bucket(), filter: ">", bare: true})
	if err != nil {
		return n, err
	}
	rooms, err := s.Rooms(ctx)
	if err != nil {
		return n, err
	}
	members, err := list(ctx, s, core.TableMembers, ">", core.DecodeMember)
	if err != nil {
		return n, err
	}
	valid, err := s.validRecs(ctx, rooms)
	if err != nil {
		return n, err
	}
	keys, err := s.rows(ctx, core.TableRoomKeys, scan{bucket: core.TableRoomKeys.Bucket(), filter: ">", bare: true})
	if err != nil {
		return n, err
	}
	n.Users, n.Rooms = len(users), len(rooms)
	for _, m := range members {
		if m.State == core.MemberActive {
			n.Members++
		}
	}
	for _, r := range keys {
		if valid.has(r.Key) && !strings.HasSuffix(r.Key, "."+recordSuffix) {
			n.Keys++
		}
	}
	return n, nil
}

// validity says of every room which rec counts in which epoch.
type validity map[string]roomRecs

type roomRecs struct {
	recs   map[core.Epoch]string // of epochs that have records
	legacy core.Epoch            // one above the highest epoch whose rec is core.LegacyRec; 0: none
}

// validRecs follows every room's records back from its rec.
func (s *Store) validRecs(ctx context.Context, rooms []core.Room) (validity, error) {
	c := chains{}
	for _, r := range rooms {
		if r.Rec != core.LegacyRec {
			var err error
			if c, err = s.records(ctx, "*"); err != nil {
				return nil, err
			}
			break
		}
	}
	valid := make(validity, len(rooms))
	for _, r := range rooms {
		valid[string(r.ID)] = c.of(r)
	}
	return valid, nil
}

// of collects the recs that led to a room's current one. Where a record is
// missing the chain ends, and what lies before it is out of reach, as for Key.
func (c chains) of(room core.Room) roomRecs {
	v := roomRecs{recs: map[core.Epoch]string{}}
	rec := room.Rec
	for at := room.Epoch; ; at-- {
		if rec == core.LegacyRec {
			v.legacy = at + 1
			return v
		}
		v.recs[at] = rec
		prev, ok := c[recordKey{room.ID, at, rec}]
		if !ok || at == 0 {
			return v
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
	if out.Members, err = list(ctx, s, core.TableMembers, ">", core.DecodeMember); err != nil {
		return core.Snapshot{}, err
	}
	rows, err := s.rows(ctx, core.TableRoomKeys, scan{bucket: core.TableRoomKeys.Bucket(), filter: ">"})
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
		valid[string(r.ID)] = c.of(r)
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
