package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"unicode/utf8"

	"unibus/core"
)

const (
	whereMember = "WHERE room_id = ? AND upper(user_id) = ?"
	whereKey    = "WHERE room_id = ? AND epoch = ? AND upper(user_id) = ?"
)

// CreateRoom creates a room: see core.Store. Version 1 refuses an archived one: it has no states.
// No record is there yet, so the rec is core.LegacyRec whatever r says.
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
		known, err := exists(ctx, tx, "users", whereUser, r.Owner)
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

// PutMember adds somebody to a room or changes the role: see core.Store.
func (s *Store) PutMember(ctx context.Context, m core.Member) error {
	if m.State == "" {
		m.State = core.MemberActive
	}
	if err := checkMember(m); err != nil {
		return err
	}
	switch m.State {
	case core.MemberActive:
	case core.MemberInvited:
		if err := s.raise(ctx); err != nil {
			return err
		}
	default:
		return core.Errorf(core.KindInvalid, "a member cannot be put into a room as %q", m.State).WithNext("use RemoveMember")
	}
	return s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.layout().roomIn(ctx, tx, m.Room); err != nil {
			return err
		}
		if err := userKnown(ctx, tx, m.User); err != nil {
			return err
		}
		if m.State == core.MemberInvited {
			if _, err := s.layout().memberIn(ctx, tx, m.Room, m.User, s.layout().active); core.KindOf(err) != core.KindNotFound {
				return cmp.Or(err, error(core.Errorf(core.KindExists, "%s is a member of the room %s already", m.User.Short(), m.Room)))
			}
		}
		if err := s.layout().putMember(ctx, tx, m); err != nil {
			return err
		}
		return s.layout().confirmMember(ctx, tx, m)
	})
}

// AcceptInvitation makes an active member of somebody who is invited: see core.Store.
func (s *Store) AcceptInvitation(ctx context.Context, room core.RoomID, user core.UserID, at core.Millis) (m core.Member, err error) {
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if m, err = s.layout().memberIn(ctx, tx, room, user, s.layout().invited()); err != nil {
			return err
		}
		m.State, m.Joined = core.MemberActive, at
		if err := s.layout().putMember(ctx, tx, m); err != nil {
			return err
		}
		return s.layout().confirmMember(ctx, tx, m)
	})
	if err != nil {
		return core.Member{}, err
	}
	return m, nil
}

// Invitations returns those that are pending and match: see core.Store.
func (s *Store) Invitations(ctx context.Context, f core.InvitationFilter) (all []core.Member, err error) {
	where, values := "WHERE "+s.layout().invited(), []any{}
	for condition, value := range map[string]string{"room_id = ?": string(f.Room), "upper(user_id) = ?": string(f.User), "invited_by = ?": string(f.By)} {
		if value != "" {
			where, values = where+" AND "+condition, append(values, value)
		}
	}
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		all, err = list(ctx, tx, s.layout().members, readMember, where+" ORDER BY "+s.layout().members.key, values...)
		return err
	})
	if all == nil {
		all = []core.Member{}
	}
	return all, err
}

// RemoveMember takes somebody out of a room, or their invitation back: see
// core.Store. Version 1 forgets them, version 2 keeps them as removed.
func (s *Store) RemoveMember(ctx context.Context, room core.RoomID, user core.UserID) (before core.Member, err error) {
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		in := "(" + s.layout().active + " OR " + s.layout().invited() + ")"
		if before, err = s.layout().memberIn(ctx, tx, room, user, in); err != nil {
			return err
		}
		remove := "DELETE FROM members " + whereMember
		if s.layout().states() {
			remove = "UPDATE members SET state = '" + string(core.MemberRemoved) + "' " + whereMember + " AND " + in
		}
		if _, err := change(ctx, tx, remove, string(room), string(user)); err != nil {
			return err
		}
		return s.layout().confirmRemoved(ctx, tx, room, user)
	})
	if err != nil {
		return core.Member{}, err
	}
	return before, nil
}

// Members returns the members of a room: see core.Store.
func (s *Store) Members(ctx context.Context, room core.RoomID) (all []core.Member, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.layout().roomIn(ctx, tx, room); err != nil {
			return err
		}
		all, err = list(ctx, tx, s.layout().members, readMember, "WHERE room_id = ? AND "+s.layout().active+" ORDER BY upper(user_id)", string(room))
		return err
	})
	return all, err
}

// RoomsOf returns the rooms of a user: see core.Store.
func (s *Store) RoomsOf(ctx context.Context, user core.UserID) (ids []core.RoomID, err error) {
	var all []core.Member
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		all, err = list(ctx, tx, s.layout().members, readMember, "WHERE upper(user_id) = ? AND "+s.layout().active+" ORDER BY room_id COLLATE BINARY", string(user))
		return err
	})
	for _, m := range all {
		ids = append(ids, m.Room)
	}
	return ids, err
}

func (l layout) roomIn(ctx context.Context, tx *sql.Tx, id core.RoomID) (core.Room, error) {
	found, err := list(ctx, tx, l.rooms, readRoom, "WHERE id = ?", string(id))
	if err != nil {
		return core.Room{}, err
	}
	if len(found) == 0 {
		return core.Room{}, core.Errorf(core.KindNotFound, "there is no room %s", id).WithNext("list them with `unibusd room list`")
	}
	return found[0], nil
}

func userKnown(ctx context.Context, tx *sql.Tx, id core.UserID) error {
	known, err := exists(ctx, tx, "users", whereUser, id)
	if err == nil && !known {
		err = core.Errorf(core.KindNotFound, "there is no user %s", id).WithNext("add the user first")
	}
	return err
}

func (l layout) insertRoom(ctx context.Context, tx *sql.Tx, r core.Room) error {
	values := []any{string(r.ID), optional(r.Name), string(r.Owner), r.Encrypted, int64(r.Epoch), int64(r.Created)}
	if l.states() {
		values = append(values, r.Rec, string(r.State))
	}
	_, err := tx.ExecContext(ctx, l.rooms.insert(), values...)
	return err
}

func (l layout) updateRoom(ctx context.Context, tx *sql.Tx, r core.Room) error {
	set, values := "", []any{optional(r.Name), string(r.Owner), r.Encrypted, int64(r.Epoch), int64(r.Created)}
	if l.states() {
		set, values = ", rec = ?, state = ?", append(values, r.Rec, string(r.State))
	}
	_, err := tx.ExecContext(ctx, "UPDATE rooms SET name = ?, owner = ?, encrypted = ?, epoch = ?, created_at = ?"+set+" WHERE id = ?",
		append(values, string(r.ID))...)
	return err
}

// putMember writes a member in place of the row that an old file may have in another case.
func (l layout) putMember(ctx context.Context, tx *sql.Tx, m core.Member) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM members "+whereMember, string(m.Room), string(m.User)); err != nil {
		return err
	}
	return l.insertMember(ctx, tx, m)
}

func (l layout) insertMember(ctx context.Context, tx *sql.Tx, m core.Member) error {
	values := []any{string(m.Room), string(m.User), string(m.Role), optional(m.InvitedBy), optionalBytes(m.Proof), int64(m.Joined)}
	if l.states() {
		values = append(values, string(m.State))
	}
	_, err := tx.ExecContext(ctx, l.members.insert(), values...)
	return err
}

// checkRoom refuses what the version cannot hold.
func (l layout) checkRoom(r core.Room) error {
	if _, err := core.ParseRoomID(string(r.ID)); err != nil {
		return err
	}
	if err := checkUserID(r.Owner); err != nil {
		return err
	}
	switch r.State {
	case "", core.RoomActive:
	case core.RoomArchived:
		if !l.states() {
			return core.Errorf(core.KindInvalid, "the room %s is %s, and a database of schema version 1 has no states of rooms", r.ID, r.State)
		}
	default:
		return core.Errorf(core.KindInvalid, "%q is not a room's state", r.State).WithNext("use active or archived")
	}
	if err := checkText("name", r.Name); err != nil {
		return err
	}
	return checkEpoch(r.ID, r.Epoch)
}

func checkMember(m core.Member) error {
	if _, err := core.ParseRoomID(string(m.Room)); err != nil {
		return err
	}
	if err := checkUserID(m.User); err != nil {
		return err
	}
	switch m.Role {
	case core.MemberOwner, core.MemberAdmin, core.MemberMember:
	default:
		return core.Errorf(core.KindInvalid, "%q is not a member's role", m.Role).WithNext("use owner, admin or member")
	}
	if m.State != core.MemberActive && m.State != core.MemberInvited && m.State != core.MemberRemoved {
		return core.Errorf(core.KindInvalid, "%q is not a member's state", m.State).WithNext("use active, invited or removed")
	}
	return checkText("invited_by", m.InvitedBy)
}

func checkEpoch(room core.RoomID, e core.Epoch) error {
	if e >= math.MaxInt64 {
		return core.Errorf(core.KindInvalid, "the epoch %d of the room %s is too large", e, room)
	}
	return nil
}

func checkText(name string, s *string) error {
	if s != nil && !utf8.ValidString(*s) {
		return core.Errorf(core.KindInvalid, "the %s %q is not UTF-8 text", name, *s)
	}
	return nil
}

func exists[T ~string](ctx context.Context, tx *sql.Tx, table, where string, id T) (bool, error) {
	var yes bool
	err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT EXISTS(SELECT 1 FROM %s %s)", table, where), string(id)).Scan(&yes)
	return yes, err
}

// change runs a statement and returns how many rows it changed.
func change(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// optional and optionalBytes keep NULL and empty apart on the way in.
func optional(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func optionalBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// MemberCount is how many active members and pending invitations a room has: see core.Store.
func (s *Store) MemberCount(ctx context.Context, room core.RoomID) (members, invited int, err error) {
	count := func(where string) string { return "coalesce(sum(" + where + "), 0)" }
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT "+count(s.layout().active)+", "+count(s.layout().invited())+" FROM members WHERE room_id = ?", string(room)).Scan(&members, &invited)
	})
	return members, invited, err
}

// MemberCounts is how many members each room has: see core.Store.
func (s *Store) MemberCounts(ctx context.Context) (counts map[core.RoomID]int, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		counts = map[core.RoomID]int{}
		rows, err := tx.QueryContext(ctx, "SELECT room_id, count(*) FROM members WHERE room_id IS NOT NULL AND "+s.layout().active+" GROUP BY room_id")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var room string
			var n int
			if err := rows.Scan(&room, &n); err != nil {
				return err
			}
			counts[core.RoomID(room)] = n
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}
