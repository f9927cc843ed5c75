package kv

import (
	"context"
	"slices"

	"unibus/core"
)

// RoomKeys returns the members of each room and the holders of its current key: see
// core.Store. The tables are read one after the other, so a change under way may be in
// one and not yet in another. Boxes are read before members, so that a user who was just
// invited and given a box does not look removed. Boxes are proven after the rooms are
// read, because a box is written before the room that leads to it.
func (s *Store) RoomKeys(ctx context.Context) ([]core.RoomKeys, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableRooms, core.TableMembers); err != nil {
		return nil, err
	}
	out, err := all(s, core.TableRooms, func(r record) core.RoomKeys { return core.RoomKeys{Room: cloneRoom(*r.room)} })
	if err != nil {
		return nil, err
	}
	if err := s.awaitProof(ctx, core.TableRoomKeys); err != nil {
		return nil, err
	}
	for i, k := range out { // a room at a time, because the watch and every admission wait for this read
		if out[i].Holders, err = s.holdersOf(k.Room.ID, k.Room.Epoch, k.Room.Rec); err != nil {
			return nil, err
		}
		if out[i].Members, err = s.membersIn(k.Room.ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// RoomsOpenedBy looks for one name in each room: see core.Store.
func (s *Store) RoomsOpenedBy(ctx context.Context, user core.UserID) ([]core.RoomID, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableRooms); err != nil {
		return nil, err
	}
	prefixes, err := s.currentKeyPrefixes()
	if err != nil {
		return nil, err
	}
	if err := s.awaitProof(ctx, core.TableRoomKeys); err != nil {
		return nil, err
	}
	out := []core.RoomID{}
	for some := range slices.Chunk(prefixes, roomsAtOnce) {
		if err := s.buckets[core.TableRoomKeys].read(func(t *table) {
			for _, p := range some {
				if _, opens := t.namesByPrefix[p.prefix][string(user)]; opens {
					out = append(out, p.room)
				}
			}
		}); err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

// roomsAtOnce bounds how long the watch and every admission wait for a read: less than a
// tenth of a millisecond.
const roomsAtOnce = 256

// keyPrefix is what the names of the current key of a room follow.
type keyPrefix struct {
	room   core.RoomID
	prefix string
}

// currentKeyPrefixes are those of all encrypted rooms, in no order: sorting all rooms would be
// most of the work.
func (s *Store) currentKeyPrefixes() (out []keyPrefix, err error) {
	broken := s.buckets[core.TableRooms].read(func(t *table) {
		if err = t.readable(); err != nil {
			return
		}
		out = make([]keyPrefix, 0, len(t.records))
		for _, r := range t.records {
			if r.room.Encrypted {
				prefix := core.EpochPrefix(r.room.ID, r.room.Epoch, r.room.Rec)
				out = append(out, keyPrefix{r.room.ID, prefix[:len(prefix)-1]})
			}
		}
	})
	if broken != nil {
		err = broken
	}
	return out, err
}

// membersIn returns the active members of a room, in order, as the watch has it.
func (s *Store) membersIn(room core.RoomID) (users []core.UserID, err error) {
	var bad error
	broken := s.buckets[core.TableMembers].read(func(t *table) {
		bad = t.activeIn(t.namesByPrefix[string(room)], func(name string) string { return string(room) + "." + name },
			func(m core.Member) { users = append(users, m.User) })
	})
	return users, firstError(broken, bad)
}

// EpochBegan is when the first box of the current epoch was made: see core.Store.
// The first is the one that was written first, and not replaced since.
func (s *Store) EpochBegan(ctx context.Context, id core.RoomID) (core.Millis, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	if _, err := core.ParseRoomID(string(id)); err != nil {
		return 0, err
	}
	for _, t := range []core.Table{core.TableRooms, core.TableRoomKeys} {
		if _, err := s.readyBucket(ctx, t); err != nil {
			return 0, err
		}
	}
	room, _, err := s.seenRoom(id)
	if err != nil {
		return 0, err
	}
	key, err := s.firstBox(room)
	switch {
	case err != nil:
		return 0, err
	case key == "" && room.Epoch == 0:
		return room.Created, nil
	case key == "":
		return 0, nil
	}
	e, ok, err := s.get(ctx, core.TableRoomKeys.Bucket(), key)
	if err != nil || !ok {
		return 0, firstError(err, errBehind(core.TableRoomKeys))
	}
	k, _, err := core.DecodeKey(core.Row{Table: core.TableRoomKeys, Key: e.key, Value: e.value})
	if err != nil {
		return 0, err
	}
	return k.Created, nil
}

// firstBox is the key of the box of a room's current epoch that was written first, "" where there is none.
func (s *Store) firstBox(room core.Room) (key string, err error) {
	return s.firstUnder(core.EpochPrefix(room.ID, room.Epoch, room.Rec))
}

// firstUnder is firstBox for any epoch, by the beginning of its keys.
func (s *Store) firstUnder(prefix string) (key string, err error) {
	first := uint64(0)
	err = s.buckets[core.TableRoomKeys].read(func(t *table) {
		for name := range t.namesByPrefix[prefix[:len(prefix)-1]] {
			if r := t.records[prefix+name]; name != core.RecordSuffix && (key == "" || r.rev < first) {
				key, first = prefix+name, r.rev
			}
		}
	})
	return key, err
}
