package kv

import (
	"context"
	"maps"
	"slices"

	"unibus/core"
)

// RoomMembers returns every row of a room's members: see core.Store.
func (s *Store) RoomMembers(ctx context.Context, room core.RoomID) ([]core.Member, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	rows, _, err := s.roomMembers(ctx, room)
	return rows, err
}

// roomMembers are the rows with their revisions.
func (s *Store) roomMembers(ctx context.Context, room core.RoomID) (rows []core.Member, revs map[core.UserID]uint64, err error) {
	if _, err := core.ParseRoomID(string(room)); err != nil {
		return nil, nil, err
	}
	if err := s.awaitProof(ctx, core.TableRooms, core.TableMembers); err != nil {
		return nil, nil, err
	}
	if _, _, err := s.seenRoom(room); err != nil {
		return nil, nil, err
	}
	revs = map[core.UserID]uint64{}
	var bad error
	err = s.buckets[core.TableMembers].read(func(t *table) {
		for _, user := range slices.Sorted(maps.Keys(t.namesByPrefix[string(room)])) {
			r := t.records[string(room)+"."+user]
			if r.err != nil {
				bad = r.err
				return
			}
			rows, revs[r.member.User] = append(rows, cloneMember(*r.member)), r.rev
		}
	})
	return rows, revs, firstError(err, bad)
}

// ChangeMembers writes the rows that decide returns in one atomic batch, each at the
// revision that decide has seen: see core.Store.
func (s *Store) ChangeMembers(ctx context.Context, room core.RoomID, decide func([]core.Member) ([]core.Member, error)) (failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	for range casTries {
		rows, revs, err := s.roomMembers(ctx, room)
		if err != nil {
			return err
		}
		changed, err := decide(rows)
		if err != nil || len(changed) == 0 {
			return err
		}
		err = s.writeMembers(ctx, room, rows, changed, revs)
		if core.KindOf(err) != core.KindConflict {
			return err
		}
		ctx = asOfNow(ctx)
	}
	return core.Errorf(core.KindConflict, "the members of %s were changed by other writers again and again", room).WithNext("try again")
}

// writeMembers writes rows in the place of those that were read, and the index after them.
func (s *Store) writeMembers(ctx context.Context, room core.RoomID, were, changed []core.Member, revs map[core.UserID]uint64) error {
	known, states := map[core.UserID]int{}, map[core.UserID]core.MemberState{}
	for _, m := range were {
		known[m.User], states[m.User] = core.ValueVersion(core.MemberRow(m).Value), m.State
	}
	wb, err := s.readyBucket(ctx, core.TableMembers)
	if err != nil {
		return err
	}
	batch := make([]message, 0, len(changed))
	for _, m := range changed {
		if err := core.CheckMembersOf(room, m); err != nil {
			return err
		}
		if _, _, err := s.user(ctx, m.User); err != nil {
			return err
		}
		row, rev := core.MemberRow(m), revs[m.User]
		if rev == 0 {
			if rev, _, err = s.deletedRev(ctx, row); err != nil {
				return err
			}
		}
		if err := core.CheckRowSize(row); err != nil {
			return err
		}
		batch = append(batch, message{key: row.Key, value: row.Value, expect: &rev, known: known[m.User]})
	}
	if _, err := s.write(ctx, wb, batch); err != nil {
		return err
	}
	for _, m := range changed {
		if m.State == states[m.User] {
			continue
		}
		if err := s.index(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
