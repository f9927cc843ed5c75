package kv

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"unibus/core"
)

// DeleteOldKeys deletes the boxes of epochs that were over before a time: see core.Store.
// Boxes of rekeys that never counted go with their epoch. A room only goes on to later
// epochs, so a view of it that is behind leads to fewer deletions. A delete marker stays in
// the bucket.
func (s *Store) DeleteOldKeys(ctx context.Context, before core.Millis, limit int) (_ int, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	rooms, err := s.epochsWithKeys(ctx)
	if err != nil {
		return 0, err
	}
	var writes []message
	for _, r := range rooms {
		newest, found, err := s.oldestNeeded(ctx, r, before)
		if err != nil {
			return 0, err
		}
		if !found {
			continue
		}
		for _, e := range r.epochs {
			if e.epoch < newest && e.rec != core.LegacyRec {
				writes = append(writes, s.boxesUnder(e.prefix)...)
			}
		}
		if len(writes) >= limit {
			writes = writes[:limit]
			break
		}
	}
	return s.commit(ctx, core.TableRoomKeys, writes, batchBytes, asUser)
}

// roomEpochs is a room with the epochs of which there are rows, in any order.
type roomEpochs struct {
	room   core.Room
	epochs []epochRows
}

type epochRows struct {
	epoch  core.Epoch
	rec    string
	prefix string
}

// epochsWithKeys returns the rooms that have rows of several epochs, in the order of their ids.
func (s *Store) epochsWithKeys(ctx context.Context) ([]roomEpochs, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableRooms, core.TableRoomKeys); err != nil {
		return nil, err
	}
	rooms, err := all(s, core.TableRooms, func(r record) core.Room { return cloneRoom(*r.room) })
	if err != nil {
		return nil, err
	}
	byRoom := map[core.RoomID][]epochRows{}
	if err := s.buckets[core.TableRoomKeys].read(func(t *table) {
		for prefix := range t.namesByPrefix {
			if room, e, ok := parseEpochPrefix(prefix); ok {
				byRoom[room] = append(byRoom[room], e)
			}
		}
	}); err != nil {
		return nil, err
	}
	out := make([]roomEpochs, 0, len(rooms))
	for _, r := range rooms {
		if len(byRoom[r.ID]) > 1 {
			out = append(out, roomEpochs{r, byRoom[r.ID]})
		}
	}
	return out, nil
}

// parseEpochPrefix is the inverse of core.EpochPrefix, without the last dot.
func parseEpochPrefix(prefix string) (core.RoomID, epochRows, bool) {
	parts := strings.Split(prefix, ".")
	if len(parts) != 3 {
		return "", epochRows{}, false
	}
	n, err := strconv.ParseUint(parts[1], 10, 64)
	return core.RoomID(parts[0]), epochRows{core.Epoch(n), parts[2], prefix + "."}, err == nil
}

// oldestNeeded is the newest epoch that led to the room's current one, or is it, and that
// had a box before a time. The boxes of those below it are old.
func (s *Store) oldestNeeded(ctx context.Context, r roomEpochs, before core.Millis) (core.Epoch, bool, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return 0, false, err
	}
	defer cancel()
	lowest := slices.MinFunc(r.epochs, func(a, b epochRows) int { return cmp.Compare(a.epoch, b.epoch) }).epoch
	prevOf := s.prevOf(ctx, r.room.ID)
	rec := r.room.Rec
	for at := r.room.Epoch; at > lowest && rec != core.LegacyRec; at-- {
		began, err := s.epochBegan(ctx, core.EpochPrefix(r.room.ID, at, rec))
		if err != nil {
			return 0, false, err
		}
		if began != 0 && began <= before {
			return at, true, nil
		}
		prev, ok, err := prevOf(at, rec)
		if err != nil || !ok {
			return 0, false, err
		}
		rec = prev
	}
	return 0, false, nil
}

// boxTimes remembers when the box of an epoch that was written first was made.
type boxTimes struct {
	mu    sync.Mutex
	known map[string]core.Millis // by the prefix of the epoch
}

// epochBegan is when the first of an epoch's boxes was made; 0 where there is none.
func (s *Store) epochBegan(ctx context.Context, prefix string) (core.Millis, error) {
	s.boxTimes.mu.Lock()
	at, known := s.boxTimes.known[prefix]
	s.boxTimes.mu.Unlock()
	if known {
		return at, nil
	}
	key, err := s.firstUnder(prefix)
	if err != nil || key == "" {
		return 0, err
	}
	e, ok, err := s.get(ctx, core.TableRoomKeys.Bucket(), key)
	if err != nil || !ok {
		return 0, firstError(err, errBehind(core.TableRoomKeys))
	}
	k, _, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
	if err != nil || k == nil {
		return 0, err
	}
	s.boxTimes.mu.Lock()
	defer s.boxTimes.mu.Unlock()
	if s.boxTimes.known == nil {
		s.boxTimes.known = map[string]core.Millis{}
	}
	s.boxTimes.known[prefix] = k.Created
	return k.Created, nil
}

// boxesUnder are the deletions of all boxes of an epoch record.
func (s *Store) boxesUnder(prefix string) (out []message) {
	_ = s.buckets[core.TableRoomKeys].read(func(t *table) { // a bucket that cannot be read gives nothing to delete
		for _, name := range slices.Sorted(maps.Keys(t.namesByPrefix[prefix[:len(prefix)-1]])) {
			if name != core.RecordSuffix {
				out = append(out, message{key: prefix + name, remove: true})
			}
		}
	})
	s.boxTimes.mu.Lock()
	defer s.boxTimes.mu.Unlock()
	delete(s.boxTimes.known, prefix)
	return out
}
