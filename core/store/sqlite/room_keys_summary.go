package sqlite

import (
	"context"
	"database/sql"

	"unibus/core"
)

// RoomKeys returns the members of each room and the holders of its current key, of
// one moment: see core.Store.
func (s *Store) RoomKeys(ctx context.Context) (out []core.RoomKeys, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		rooms, err := list(ctx, tx, s.layout().rooms, readRoom, "ORDER BY id COLLATE BINARY")
		if err != nil {
			return err
		}
		out = make([]core.RoomKeys, len(rooms))
		for i, r := range rooms {
			out[i].Room = r
		}
		if err := collectUsers(ctx, tx, "SELECT room_id, upper(user_id) FROM members WHERE "+s.layout().active+" ORDER BY 1 COLLATE BINARY, 2",
			out, func(k *core.RoomKeys, id core.UserID) { k.Members = append(k.Members, id) }); err != nil {
			return err
		}
		return collectUsers(ctx, tx, "SELECT k.room_id, upper(k.user_id) FROM room_keys k JOIN rooms r ON r.id = k.room_id AND r.epoch = k.epoch ORDER BY 1 COLLATE BINARY, 2",
			out, func(k *core.RoomKeys, id core.UserID) { k.Holders = append(k.Holders, id) })
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// RoomsOpenedBy is of core.Store.
func (s *Store) RoomsOpenedBy(ctx context.Context, user core.UserID) ([]core.RoomID, error) {
	out := []core.RoomID{}
	err := s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		rooms, err := list(ctx, tx, s.layout().rooms, readRoom,
			"WHERE EXISTS (SELECT 1 FROM room_keys k WHERE k.room_id = rooms.id AND k.epoch = rooms.epoch AND upper(k.user_id) = ?) ORDER BY id COLLATE BINARY", string(user))
		for _, r := range rooms {
			if r.Encrypted {
				out = append(out, r.ID)
			}
		}
		return err
	})
	return out, err
}

// collectUsers gives each room the users that a query finds in it. Both are in the
// order of the rooms, so one pass is enough; a row of an unknown room is left out.
func collectUsers(ctx context.Context, tx *sql.Tx, query string, rooms []core.RoomKeys, add func(*core.RoomKeys, core.UserID)) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	at := 0
	for rows.Next() {
		var room, user sql.NullString
		if err := rows.Scan(&room, &user); err != nil {
			return err
		}
		for at < len(rooms) && string(rooms[at].Room.ID) < room.String {
			at++
		}
		if at < len(rooms) && user.Valid && string(rooms[at].Room.ID) == room.String {
			add(&rooms[at], core.UserID(user.String))
		}
	}
	return rows.Err()
}

// EpochBegan is when the first box of the current epoch was made: see core.Store.
func (s *Store) EpochBegan(ctx context.Context, room core.RoomID) (at core.Millis, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		r, err := s.layout().roomIn(ctx, tx, room)
		if err != nil {
			return err
		}
		var first sql.NullInt64
		err = tx.QueryRowContext(ctx, "SELECT min(created_at) FROM room_keys WHERE room_id = ? AND epoch = ? AND typeof(created_at) = 'integer'",
			string(room), int64(r.Epoch)).Scan(&first)
		switch {
		case first.Valid:
			at = core.Millis(first.Int64)
		case r.Epoch == 0:
			at = r.Created
		}
		return err
	})
	return at, err
}
