package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"

	"unibus/core"
)

const (
	whereMember = "WHERE room_id = ? AND upper(user_id) = ?"
	whereKey    = "WHERE room_id = ? AND epoch = ? AND upper(user_id) = ?"
)

// CreateRoom creates a room: see core.Store. Version 1 refuses an archived one: it has no states.
// No record is there yet, so the rec is core.LegacyRec also if r has another.
func (s *Store) CreateRoom(ctx context.Context, r core.Room) error {
	if err := s.layout().checkRoom(r); err != nil {
		return err
	}
	r.Rec, r.State = core.LegacyRec, cmp.Or(r.State, core.RoomActive)
	return s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		taken, err := exists(ctx, tx, "rooms", "WHERE id = ?", r.ID)
		if err != nil {
			return err
		}
		if taken {
			return core.Errorf(core.KindExists, "the room %s is there already", r.ID)
		}
		known, err := exists(ctx, tx, "users", whereUser(r.Owner), r.Owner)
		if err != nil {
			return err
		}
		if !known {
			return core.Errorf(core.KindInvalid, "the owner %s of the room %s is not a user", r.Owner, r.ID).WithNext("add the user first")
		}
		if err := s.layout().insertRoom(ctx, tx, r); err != nil {
			return err
		}
		return s.layout().confirmRoom(ctx, tx, r)
	})
}

// Room returns one room: see core.Store.
func (s *Store) Room(ctx context.Context, id core.RoomID) (r core.Room, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		r, err = s.layout().roomIn(ctx, tx, id)
		return err
	})
	return r, err
}

// Rooms returns all rooms: see core.Store.
func (s *Store) Rooms(ctx context.Context) (all []core.Room, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		all, err = list(ctx, tx, s.layout().rooms, readRoom, "ORDER BY "+s.layout().rooms.key)
		return err
	})
	return all, err
}

func (l layout) roomIn(ctx context.Context, tx *sql.Tx, id core.RoomID) (core.Room, error) {
	found, err := list(ctx, tx, l.rooms, readRoom, "WHERE id = ?", string(id))
	if err != nil {
		return core.Room{}, err
	}
	if len(found) == 0 {
		return core.Room{}, core.Errorf(core.KindNotFound, "there is no room %s", id).WithNext("list them with `unibusd room list`")
	}
	if len(found) > 1 {
		return core.Room{}, thereTwice("the room "+string(id), "rooms", "id = "+literal(string(id)))
	}
	return found[0], nil
}

// thereTwice is the error of a row that counts and of which nothing says which one it is.
func thereTwice(what, table, where string) error {
	return core.Errorf(core.KindFailed, "%s is in the file more than once, and nothing says which row counts", what).
		WithNext("with the node stopped, look at the rows and delete all but one by its number: SELECT rowid, * FROM %s WHERE %s;", table, where)
}

func userKnown(ctx context.Context, tx *sql.Tx, id core.UserID) error {
	known, err := exists(ctx, tx, "users", whereUser(id), id)
	if err == nil && !known {
		err = core.Errorf(core.KindNotFound, "there is no user %s", id).WithNext("add the user first")
	}
	return err
}

func (l layout) insertRoom(ctx context.Context, tx *sql.Tx, r core.Room) error {
	values := []any{string(r.ID), nullableText(r.Name), string(r.Owner), r.Encrypted, int64(r.Epoch), int64(r.Created)}
	if l.hasStates() {
		values = append(values, r.Rec, string(r.State))
	}
	_, err := tx.ExecContext(ctx, l.rooms.insert(), values...)
	return err
}

func (l layout) updateRoom(ctx context.Context, tx *sql.Tx, r core.Room) error {
	set, values := "", []any{nullableText(r.Name), string(r.Owner), r.Encrypted, int64(r.Epoch), int64(r.Created)}
	if l.hasStates() {
		set, values = ", rec = ?, state = ?", append(values, r.Rec, string(r.State))
	}
	_, err := tx.ExecContext(ctx, "UPDATE rooms SET name = ?, owner = ?, encrypted = ?, epoch = ?, created_at = ?"+set+" WHERE id = ?",
		append(values, string(r.ID))...)
	return err
}

// checkRoom refuses what the version cannot hold. A room without a state or a rec
// is given one later.
func (l layout) checkRoom(r core.Room) error {
	if r.State == core.RoomArchived && !l.hasStates() {
		return core.Errorf(core.KindInvalid, "the room %s is %s, and a database of schema version 1 has no states of rooms", r.ID, r.State)
	}
	r.State, r.Rec = cmp.Or(r.State, core.RoomActive), cmp.Or(r.Rec, core.LegacyRec)
	return core.CheckRoom(r)
}

func exists[T ~string](ctx context.Context, tx *sql.Tx, table, where string, id T) (bool, error) {
	var yes bool
	err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT EXISTS(SELECT 1 FROM %s %s)", table, where), string(id)).Scan(&yes)
	return yes, err
}

// change runs a statement and returns how many rows it changed.
func execCount(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// optional and optionalBytes keep NULL and empty apart on the way in.
func nullableText(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func nullableBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// UpdateRoom changes a room: see core.Store. A file of version 1 becomes one of version 2 when a room is archived.
func (s *Store) UpdateRoom(ctx context.Context, id core.RoomID, c core.RoomChange) (r core.Room, err error) {
	if err := core.CheckText("name", c.Name); err != nil {
		return core.Room{}, err
	}
	if c.State == core.RoomArchived {
		if err := s.upgradeToStates(ctx); err != nil {
			return core.Room{}, err
		}
	}
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if r, err = s.layout().roomIn(ctx, tx, id); err != nil {
			return err
		}
		if r, err = c.Apply(r); err != nil {
			return err
		}
		if c.Owner != "" {
			known, err := exists(ctx, tx, "users", whereUser(c.Owner), c.Owner)
			if err != nil {
				return err
			}
			if !known {
				return core.Errorf(core.KindInvalid, "the new owner %s of the room %s is not a user", c.Owner, id).WithNext("add the user first")
			}
		}
		if err := s.layout().updateRoom(ctx, tx, r); err != nil {
			return err
		}
		return s.layout().confirmRoom(ctx, tx, r)
	})
	if err != nil {
		return core.Room{}, err
	}
	return r, nil
}
