package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"unibus/core"
)

// PutMember adds a member to a room or changes the role: see core.Store.
func (s *Store) PutMember(ctx context.Context, m core.Member) error {
	if m.State == "" {
		m.State = core.MemberActive
	}
	if err := core.CheckMember(m); err != nil {
		return err
	}
	switch m.State {
	case core.MemberActive:
	case core.MemberInvited:
		if err := s.upgradeToStates(ctx); err != nil {
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

// AcceptInvitation makes an active member of an invited user: see core.Store.
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

// Member returns one active member: see core.Store.
func (s *Store) Member(ctx context.Context, room core.RoomID, user core.UserID) (m core.Member, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		m, err = s.layout().memberIn(ctx, tx, room, user, s.layout().active)
		return err
	})
	return m, err
}

// SetMemberRole changes the role of an active member: see core.Store.
func (s *Store) SetMemberRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (m core.Member, err error) {
	if err := core.CheckMember(core.Member{Room: room, User: user, Role: role, State: core.MemberActive}); err != nil {
		return core.Member{}, err
	}
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if m, err = s.layout().memberIn(ctx, tx, room, user, s.layout().active); err != nil {
			return err
		}
		m.Role = role
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

// RemoveMember removes a member or an invitation, and returns the record as it was
// before: see core.Store. Version 1 deletes the row, version 2 keeps it as removed.
func (s *Store) RemoveMember(ctx context.Context, room core.RoomID, user core.UserID) (before core.Member, err error) {
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		in := "(" + s.layout().active + " OR " + s.layout().invited() + ")"
		if before, err = s.layout().memberIn(ctx, tx, room, user, in); err != nil {
			return err
		}
		remove := "DELETE FROM members " + whereMember
		if s.layout().hasStates() {
			remove = "UPDATE members SET state = '" + string(core.MemberRemoved) + "' " + whereMember + " AND " + in
		}
		if _, err := execCount(ctx, tx, remove, string(room), string(user)); err != nil {
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
		all, err = s.members.get(ctx, tx, room, func() ([]core.Member, error) { return s.layout().allMembers(ctx, tx, room) })
		return err
	})
	return slices.DeleteFunc(all, func(m core.Member) bool { return m.State != core.MemberActive }), err
}

// MemberCount is how many active members and pending invitations a room has: see core.Store.
func (s *Store) MemberCount(ctx context.Context, room core.RoomID) (members, invited int, err error) {
	count := func(where string) string { return "coalesce(sum(" + where + "), 0)" }
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT "+count(s.layout().active)+", "+count(s.layout().invited())+" FROM members WHERE room_id = ?", string(room)).Scan(&members, &invited)
	})
	return members, invited, err
}

// countMembers counts in one pass where a file has no index of its members, and else by
// the index of their primary key. Its argument is a JSON list of rooms.
const countMembers = "SELECT room_id, count(*) FROM members WHERE room_id IN (SELECT value FROM json_each(?)) AND %s GROUP BY room_id"

// MemberCounts is how many active members each of some rooms has: see core.Store.
func (s *Store) MemberCounts(ctx context.Context, rooms []core.RoomID) (counts map[core.RoomID]int, err error) {
	asked, _ := json.Marshal(rooms) // plain values
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		counts = make(map[core.RoomID]int, len(rooms))
		rows, err := tx.QueryContext(ctx, fmt.Sprintf(countMembers, s.layout().active), string(asked))
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

// RoomsOf returns the rooms of a user: see core.Store.
func (s *Store) RoomsOf(ctx context.Context, user core.UserID) (ids []core.RoomID, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		ids, err = s.layout().roomsOf(ctx, tx, user)
		return err
	})
	return ids, err
}

func (l layout) roomsOf(ctx context.Context, tx *sql.Tx, user core.UserID) (ids []core.RoomID, err error) {
	all, err := list(ctx, tx, l.members, readMember, "WHERE upper(user_id) = ? AND "+l.active+" ORDER BY room_id COLLATE BINARY", string(user))
	for _, m := range all {
		ids = append(ids, m.Room)
	}
	return ids, err
}

// memberIn is the member of a room, where a condition is true of it.
func (l layout) memberIn(ctx context.Context, tx *sql.Tx, room core.RoomID, user core.UserID, where string) (core.Member, error) {
	found, err := list(ctx, tx, l.members, readMember, whereMember+" AND "+where, string(room), string(user))
	if err == nil && len(found) == 0 {
		err = core.Errorf(core.KindNotFound, "%s is not a member of the room %s", user, room)
	}
	if err != nil {
		return core.Member{}, err
	}
	if len(found) > 1 {
		return core.Member{}, thereTwice("the member "+user.Short()+" of the room "+string(room), "members",
			fmt.Sprintf("room_id = %s AND upper(user_id) = %s", literal(string(room)), literal(string(user))))
	}
	return found[0], nil
}

// putMember writes a member in place of the row that an old file may have in another case.
func (l layout) putMember(ctx context.Context, tx *sql.Tx, m core.Member) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM members "+whereMember, string(m.Room), string(m.User)); err != nil {
		return err
	}
	return l.insertMember(ctx, tx, m)
}

func (l layout) insertMember(ctx context.Context, tx *sql.Tx, m core.Member) error {
	values := []any{string(m.Room), string(m.User), string(m.Role), nullableText(m.InvitedBy), nullableBytes(m.Proof), int64(m.Joined)}
	if l.hasStates() {
		values = append(values, string(m.State))
	}
	_, err := tx.ExecContext(ctx, l.members.insert(), values...)
	return err
}

// RoomMembers returns every row of a room's members: see core.Store.
func (s *Store) RoomMembers(ctx context.Context, room core.RoomID) (all []core.Member, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		all, err = s.members.get(ctx, tx, room, func() ([]core.Member, error) { return s.layout().allMembers(ctx, tx, room) })
		return err
	})
	return all, err
}

func (l layout) allMembers(ctx context.Context, tx *sql.Tx, room core.RoomID) ([]core.Member, error) {
	if _, err := l.roomIn(ctx, tx, room); err != nil {
		return nil, err
	}
	return list(ctx, tx, l.members, readMember, "WHERE room_id = ? ORDER BY upper(user_id)", string(room))
}

// ChangeMembers writes the rows that decide returns, in the transaction in which
// decide has seen all rows: see core.Store.
func (s *Store) ChangeMembers(ctx context.Context, room core.RoomID, decide func([]core.Member) ([]core.Member, error)) error {
	if err := s.upgradeToStates(ctx); err != nil { // version 1 forgets removed members, with what is kept in their rows
		return err
	}
	return s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := s.layout().allMembers(ctx, tx, room)
		if err != nil {
			return err
		}
		changed, err := decide(rows)
		if err != nil {
			return err
		}
		for _, m := range changed {
			if err := s.layout().changeMember(ctx, tx, room, m); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l layout) changeMember(ctx context.Context, tx *sql.Tx, room core.RoomID, m core.Member) error {
	if err := core.CheckMembersOf(room, m); err != nil {
		return err
	}
	if err := userKnown(ctx, tx, m.User); err != nil {
		return err
	}
	if err := l.putMember(ctx, tx, m); err != nil {
		return err
	}
	return l.confirmMember(ctx, tx, m)
}
