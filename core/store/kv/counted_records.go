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

// recsOf collects the recs that led to a room's current one. If a record is
// missing, the chain ends, and the records before it are out of reach, as for Key.
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

// onlyRecs has, for each epoch of a room, the rec of its keys; "" if there are several.
type onlyRecs map[recordKey]string

func (o onlyRecs) add(key string) {
	at, ok := parseRecordKey(key)
	if !ok {
		return
	}
	rec := at.rec
	at.rec = ""
	if have, ok := o[at]; ok && have != rec {
		rec = ""
	}
	o[at] = rec
}

// parseRecordKey reads where a key of the table room_keys belongs.
func parseRecordKey(key string) (recordKey, bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 4 {
		return recordKey{}, false
	}
	n, err := strconv.ParseUint(parts[1], 10, 64)
	return recordKey{core.RoomID(parts[0]), core.Epoch(n), parts[2]}, err == nil
}

// isUndecided is true where no record leads to the key's epoch, or past it, and its
// rec is the only one of the epoch.
func (v countedRecs) isUndecided(key string, rooms map[core.RoomID]core.Room, only onlyRecs) bool {
	at, ok := parseRecordKey(key)
	room, there := rooms[at.room]
	if !ok || !there || at.epoch > room.Epoch {
		return false
	}
	if _, decided := v[string(at.room)].recs[at.epoch]; decided {
		return false
	}
	return only[recordKey{at.room, at.epoch, ""}] == at.rec
}

// has is true where a key of the table room_keys led to its room's current one.
// Keys of another form count: their decoder must see them.
func (v countedRecs) has(key string) bool {
	at, ok := parseRecordKey(key)
	if !ok {
		return true
	}
	r, ok := v[string(at.room)]
	if !ok {
		return false
	}
	if at.rec == core.LegacyRec {
		return at.epoch < r.legacy
	}
	return r.recs[at.epoch] == at.rec
}
