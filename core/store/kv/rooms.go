package kv

import (
	"context"
	"maps"
	"slices"

	"unibus/core"
)

// CreateRoom creates a room at the epoch it carries. Its keys have no records
// of their own yet, so its rec is core.LegacyRec whatever r says.
func (s *Store) CreateRoom(ctx context.Context, r core.Room) error {
	if _, err := core.ParseRoomID(string(r.ID)); err != nil {
		return err
	}
	if r.State == "" {
		r.State = core.RoomActive
	}
	if r.State != core.RoomActive && r.State != core.RoomArchived {
		return core.Errorf(core.KindInvalid, "%q is not a state of rooms", r.State).WithNext("use active or archived")
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
	if err := s.settled(ctx, core.TableRooms); err != nil {
		return core.Room{}, 0, err
	}
	return s.seenRoom(id)
}

// seenRoom is a room as the watch has it.
func (s *Store) seenRoom(id core.RoomID) (core.Room, uint64, error) {
	r, ok, err := s.follow[core.TableRooms].find(string(id))
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

func checkRole(role core.MemberRole) error {
	switch role {
	case core.MemberOwner, core.MemberAdmin, core.MemberMember:
		return nil
	}
	return core.Errorf(core.KindInvalid, "%q is not a role of members", role).WithNext("use owner, admin or member")
}

// UpdateRoom changes a room by CAS: see core.Store.
func (s *Store) UpdateRoom(ctx context.Context, id core.RoomID, c core.RoomChange) (core.Room, error) {
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
		_, err = s.replace(ctx, core.RoomRow(next), rev)
		if core.KindOf(err) != core.KindConflict {
			return next, err
		}
		ctx = asOfNow(ctx)
	}
	return core.Room{}, core.Errorf(core.KindConflict, "the room %s was changed by others again and again", id).WithNext("try again")
}

// PutMember adds somebody to a room or changes the role: the member first, then
// the index. After an error in between, doing it again mends the index.
func (s *Store) PutMember(ctx context.Context, m core.Member) error {
	if err := checkRole(m.Role); err != nil {
		return err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if _, _, err := s.room(ctx, m.Room); err != nil {
		return err
	}
	u, _, err := s.user(ctx, m.User)
	if err != nil {
		return err
	}
	m.User = u.ID
	if m.State == core.MemberInvited {
		return s.invite(ctx, m)
	}
	m.State = core.MemberActive
	row := core.MemberRow(m)
	if _, err := s.set(ctx, message{key: row.Key, value: row.Value}, row.Table); err != nil {
		return err
	}
	return s.index(ctx, m)
}

// invite keeps an invitation by CAS: somebody who came in meanwhile stays in.
func (s *Store) invite(ctx context.Context, m core.Member) error {
	row := core.MemberRow(m)
	for range casTries {
		if err := s.settled(ctx, core.TableMembers); err != nil {
			return err
		}
		r, ok, err := s.follow[core.TableMembers].find(row.Key)
		switch {
		case err != nil:
			return err
		case ok && r.member.State == core.MemberActive:
			return core.Errorf(core.KindExists, "%s is a member of the room %s already", m.User.Short(), m.Room)
		case ok:
			_, err = s.replace(ctx, row, r.rev)
		default:
			err = s.create(ctx, row, "the invitation of "+m.User.Short())
		}
		if k := core.KindOf(err); k != core.KindConflict && k != core.KindExists {
			if err == nil {
				err = s.index(ctx, m)
			}
			return err
		}
		ctx = asOfNow(ctx)
	}
	return core.Errorf(core.KindConflict, "the member %s of %s was changed by others again and again", m.User.Short(), m.Room).WithNext("try again")
}

// AcceptInvitation makes an active member of somebody who is invited: see core.Store.
func (s *Store) AcceptInvitation(ctx context.Context, room core.RoomID, user core.UserID, at core.Millis) (core.Member, error) {
	return s.changeAndIndex(ctx, room, user, []core.MemberState{core.MemberInvited}, func(m *core.Member) { m.State, m.Joined = core.MemberActive, at })
}

// Invitations returns those that are pending and match: see core.Store.
func (s *Store) Invitations(ctx context.Context, f core.InvitationFilter) ([]core.Member, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.settled(ctx, core.TableMembers); err != nil {
		return nil, err
	}
	out := []core.Member{}
	var bad error
	err = s.follow[core.TableMembers].read(func(t *table) {
		for _, key := range t.candidates(f) {
			switch r := t.records[key]; {
			case r.err != nil:
				bad = r.err
			case f.Matches(*r.member):
				out = append(out, cloneMember(*r.member))
			}
		}
	})
	return out, firstError(err, bad)
}

// candidates are the keys among which the invitations are that a filter picks, in order.
func (t *table) candidates(f core.InvitationFilter) []string {
	var keys []string
	switch {
	case f.Room != "" && f.User != "":
		if key := core.MemberRow(core.Member{Room: f.Room, User: f.User}).Key; t.records[key].rev != 0 {
			keys = []string{key}
		}
	case f.By != "":
		keys = slices.Collect(maps.Keys(t.pending[string(f.By)]))
	case f.User != "":
		for room := range t.of[string(f.User)] {
			keys = append(keys, room+"."+string(f.User))
		}
	default:
		for user := range t.by[string(f.Room)] {
			keys = append(keys, string(f.Room)+"."+user)
		}
	}
	slices.Sort(keys)
	return keys
}

// index writes the reverse entry of a member that was written.
func (s *Store) index(ctx context.Context, m core.Member) error {
	row := core.IndexRow(m)
	_, err := s.set(ctx, message{key: row.Key, value: row.Value}, row.Table)
	return err
}

// RemoveMember takes somebody out of a room, or their invitation back, and returns
// the record as it was before. The member stays, in the state removed: nothing that
// decides is deleted.
func (s *Store) RemoveMember(ctx context.Context, room core.RoomID, user core.UserID) (before core.Member, err error) {
	_, err = s.changeAndIndex(ctx, room, user, []core.MemberState{core.MemberActive, core.MemberInvited}, func(m *core.Member) {
		before = cloneMember(*m)
		m.State = core.MemberRemoved
	})
	return before, err
}

// changeAndIndex changes the record of somebody who is in one of some states, and the index after it.
func (s *Store) changeAndIndex(ctx context.Context, room core.RoomID, user core.UserID, from []core.MemberState, change func(*core.Member)) (core.Member, error) {
	if _, err := core.ParseRoomID(string(room)); err != nil {
		return core.Member{}, err
	}
	user, err := core.ParseUserID(string(user))
	if err != nil {
		return core.Member{}, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Member{}, err
	}
	defer cancel()
	m, err := s.changeMember(ctx, room, user, from, change)
	if err != nil {
		return core.Member{}, err
	}
	return m, s.index(ctx, m)
}

// SetMemberRole changes the role of an active member by CAS: see core.Store.
func (s *Store) SetMemberRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (core.Member, error) {
	if err := checkRole(role); err != nil {
		return core.Member{}, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Member{}, err
	}
	defer cancel()
	return s.changeMember(ctx, room, user, []core.MemberState{core.MemberActive}, func(m *core.Member) { m.Role = role })
}

// Member returns one active member: see core.Store.
func (s *Store) Member(ctx context.Context, room core.RoomID, user core.UserID) (core.Member, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return core.Member{}, err
	}
	defer cancel()
	m, _, err := s.member(ctx, room, user, core.MemberActive)
	return m, err
}

// member is somebody in one of some states, by a fresh proof, and the record's rev.
func (s *Store) member(ctx context.Context, room core.RoomID, user core.UserID, in ...core.MemberState) (core.Member, uint64, error) {
	if err := s.settled(ctx, core.TableMembers); err != nil {
		return core.Member{}, 0, err
	}
	r, ok, err := s.follow[core.TableMembers].find(core.MemberRow(core.Member{Room: room, User: user}).Key)
	if err != nil {
		return core.Member{}, 0, err
	}
	if !ok || !slices.Contains(in, r.member.State) {
		return core.Member{}, 0, core.Errorf(core.KindNotFound, "%s is not a member of the room %s", user.Short(), room)
	}
	return cloneMember(*r.member), r.rev, nil
}

// changeMember changes somebody who is in one of some states, decided anew when somebody else was faster.
func (s *Store) changeMember(ctx context.Context, room core.RoomID, user core.UserID, from []core.MemberState, change func(*core.Member)) (core.Member, error) {
	for range casTries {
		m, rev, err := s.member(ctx, room, user, from...)
		if err != nil {
			return core.Member{}, err
		}
		change(&m)
		_, err = s.replace(ctx, core.MemberRow(m), rev)
		if core.KindOf(err) != core.KindConflict {
			return m, err
		}
		ctx = asOfNow(ctx)
	}
	return core.Member{}, core.Errorf(core.KindConflict, "the member %s of %s was changed by others again and again", user.Short(), room).WithNext("try again")
}

// Members returns the active members of a room in the order of their ids.
func (s *Store) Members(ctx context.Context, room core.RoomID) ([]core.Member, error) {
	if _, err := core.ParseRoomID(string(room)); err != nil {
		return nil, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.settled(ctx, core.TableRooms, core.TableMembers); err != nil {
		return nil, err
	}
	if _, _, err := s.seenRoom(room); err != nil {
		return nil, err
	}
	var active []core.Member
	var bad error
	err = s.follow[core.TableMembers].read(func(t *table) {
		bad = t.activeIn(t.by[string(room)], func(user string) string { return string(room) + "." + user },
			func(m core.Member) { active = append(active, cloneMember(m)) })
	})
	if err = firstError(err, bad); err != nil {
		return nil, err
	}
	return active, nil
}

// MemberCount is how many active members and pending invitations a room has: see core.Store.
func (s *Store) MemberCount(ctx context.Context, room core.RoomID) (members, invited int, err error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer cancel()
	if err := s.settled(ctx, core.TableMembers); err != nil {
		return 0, 0, err
	}
	var bad error
	err = s.follow[core.TableMembers].read(func(t *table) {
		for user := range t.by[string(room)] {
			switch r := t.records[string(room)+"."+user]; {
			case r.err != nil:
				bad = r.err
			case r.member.State == core.MemberActive:
				members++
			case r.member.State == core.MemberInvited:
				invited++
			}
		}
	})
	return members, invited, firstError(err, bad)
}

// MemberCounts is how many active members each room has; rooms without any are missing.
func (s *Store) MemberCounts(ctx context.Context) (map[core.RoomID]int, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.settled(ctx, core.TableMembers); err != nil {
		return nil, err
	}
	return s.memberCounts()
}

// RoomsOf returns the rooms of which a user is an active member, in order.
func (s *Store) RoomsOf(ctx context.Context, user core.UserID) ([]core.RoomID, error) {
	user, err := core.ParseUserID(string(user))
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.settled(ctx, core.TableMembers); err != nil {
		return nil, err
	}
	return s.roomsOf(user)
}

// roomsOf reads them as the watch has them; whoever calls has a proof.
func (s *Store) roomsOf(user core.UserID) ([]core.RoomID, error) {
	var rooms []core.RoomID
	var bad error
	err := s.follow[core.TableMembers].read(func(t *table) {
		bad = t.activeIn(t.of[string(user)], func(room string) string { return room + "." + string(user) },
			func(m core.Member) { rooms = append(rooms, m.Room) })
	})
	if err = firstError(err, bad); err != nil {
		return nil, err
	}
	return rooms, nil
}
