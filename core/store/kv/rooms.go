package kv

import (
	"context"

	"unibus/core"
)

// CreateRoom creates a room at the epoch it carries. Its keys have no records
// of their own yet, so its rec is core.LegacyRec also if r has another.
func (s *Store) CreateRoom(ctx context.Context, r core.Room) (failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	if r.State == "" {
		r.State = core.RoomActive
	}
	owner, err := s.User(ctx, r.Owner)
	if core.KindOf(err) == core.KindNotFound {
		return core.Errorf(core.KindInvalid, "the owner of the room %s, %s, is not a user", r.ID, r.Owner.Short()).
			WithNext("add the user first")
	}
	if err != nil {
		return err
	}
	r.Owner, r.Rec = owner.ID, core.LegacyRec
	if err := core.CheckRoom(r); err != nil {
		return err
	}
	return s.create(ctx, core.RoomRow(r), "the room "+string(r.ID))
}

// Room returns one room with its current epoch.
func (s *Store) Room(ctx context.Context, id core.RoomID) (core.Room, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Room{}, err
	}
	defer cancel()
	r, _, err := s.room(ctx, id)
	return r, err
}

func (s *Store) room(ctx context.Context, id core.RoomID) (core.Room, uint64, error) {
	if _, err := core.ParseRoomID(string(id)); err != nil {
		return core.Room{}, 0, err
	}
	if err := s.awaitProof(ctx, core.TableRooms); err != nil {
		return core.Room{}, 0, err
	}
	return s.seenRoom(id)
}

// seenRoom is a room as the watch has it.
func (s *Store) seenRoom(id core.RoomID) (core.Room, uint64, error) {
	r, ok, err := s.buckets[core.TableRooms].find(string(id))
	if err != nil {
		return core.Room{}, 0, err
	}
	if !ok {
		return core.Room{}, 0, core.Errorf(core.KindNotFound, "there is no room %s", id)
	}
	return cloneRoom(*r.room), r.rev, nil
}

// Rooms returns all rooms in the order of their ids.
func (s *Store) Rooms(ctx context.Context) ([]core.Room, error) {
	return list(ctx, s, core.TableRooms, func(r record) core.Room { return cloneRoom(*r.room) })
}

// RoomPage returns one page of rooms: see core.Store.
func (s *Store) RoomPage(ctx context.Context, r core.RoomPageRequest, notes *core.RoomNotes) (core.RoomPage, error) {
	return page(ctx, s, core.TableRooms, r.Check(), func(t *table) (core.RoomPage, error) { return t.rooms().Page(r, notes) })
}

// UpdateRoom changes a room by CAS: see core.Store.
func (s *Store) UpdateRoom(ctx context.Context, id core.RoomID, c core.RoomChange) (_ core.Room, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Room{}, err
	}
	defer cancel()
	if c.Owner != "" {
		owner, _, err := s.user(ctx, c.Owner)
		if core.KindOf(err) == core.KindNotFound {
			return core.Room{}, core.Errorf(core.KindInvalid, "the new owner of the room %s, %s, is not a user", id, c.Owner.Short())
		}
		if err != nil {
			return core.Room{}, err
		}
		c.Owner = owner.ID
	}
	for range casTries {
		was, rev, err := s.room(ctx, id)
		if err != nil {
			return core.Room{}, err
		}
		next, err := c.Apply(was)
		if err != nil {
			return core.Room{}, err
		}
		if err := core.CheckRoom(next); err != nil {
			return core.Room{}, err
		}
		_, err = s.replace(ctx, core.RoomRow(next), rev)
		if core.KindOf(err) != core.KindConflict {
			return next, err
		}
		ctx = asOfNow(ctx)
	}
	return core.Room{}, core.Errorf(core.KindConflict, "the room %s was changed by other writers again and again", id).WithNext("try again")
}
