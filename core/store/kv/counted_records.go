package kv

import (
	"context"
	"strconv"
	"strings"

	"unibus/core"
)

// countedRecs says of every room which rec counts in which epoch.
type countedRecs map[string]roomRecs

type roomRecs struct {
	recs   map[core.Epoch]string // of epochs that have records
	legacy core.Epoch            // one above the highest epoch whose rec is core.LegacyRec; 0: none
}

// validRecs follows every room's records back from its rec.
func (s *Store) validRecs(ctx context.Context, rooms []core.Room) (countedRecs, error) {
	valid := make(countedRecs, len(rooms))
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

// has is true where a key of the table room_keys led to its room's current one.
// Keys of another form count: their decoder must see them.
func (v countedRecs) has(key string) bool {
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
