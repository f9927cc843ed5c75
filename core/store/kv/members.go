package kv

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"unibus/core"
)

// PutMember adds a member to a room or changes the role: the member first, then
// the index. After an error in between, a second call repairs the index.
func (s *Store) PutMember(ctx context.Context, m core.Member) (failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	if err := checkRole(m.Role); err != nil {
		return err
	}
	m.State = cmp.Or(m.State, core.MemberActive)
	if m.State != core.MemberActive && m.State != core.MemberInvited {
		return core.Errorf(core.KindInvalid, "a member cannot be put into a room as %q", m.State).WithNext("use RemoveMember")
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
	if err := core.CheckMember(m); err != nil {
		return err
	}
	if m.State == core.MemberInvited {
		return s.invite(ctx, m)
	}
	row := core.MemberRow(m)
	if _, err := s.set(ctx, message{key: row.Key, value: row.Value}, row.Table); err != nil {
		return err
	}
	return s.index(ctx, m)
}

// invite keeps an invitation by CAS: a user who became a member meanwhile stays
// one.
func (s *Store) invite(ctx context.Context, m core.Member) error {
	row := core.MemberRow(m)
	for range casTries {
		if err := s.awaitProof(ctx, core.TableMembers); err != nil {
			return err
		}
		r, ok, err := s.buckets[core.TableMembers].find(row.Key)
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
	return core.Errorf(core.KindConflict, "the member %s of %s was changed by other writers again and again", m.User.Short(), m.Room).WithNext("try again")
}

// AcceptInvitation makes an active member of an invited user: see core.Store.
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
	if err := s.awaitProof(ctx, core.TableMembers); err != nil {
		return nil, err
	}
	out := []core.Member{}
	var bad error
	err = s.buckets[core.TableMembers].read(func(t *table) {
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

// candidates are the keys that may be invitations that a filter picks, in order.
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
		for room := range t.roomsByUser[string(f.User)] {
			keys = append(keys, room+"."+string(f.User))
		}
	default:
		for user := range t.namesByPrefix[string(f.Room)] {
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

// RemoveMember removes a member or an invitation, and returns the record as it was
// before. The record stays, in the state removed: no record that decides is deleted.
func (s *Store) RemoveMember(ctx context.Context, room core.RoomID, user core.UserID) (before core.Member, err error) {
	_, err = s.changeAndIndex(ctx, room, user, []core.MemberState{core.MemberActive, core.MemberInvited}, func(m *core.Member) {
		before = cloneMember(*m)
		m.State = core.MemberRemoved
	})
	return before, err
}

// changeAndIndex changes the record of a member in one of some states, and the
// index after it.
func (s *Store) changeAndIndex(ctx context.Context, room core.RoomID, user core.UserID, from []core.MemberState, edit func(*core.Member)) (_ core.Member, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
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
	m, err := s.changeMember(ctx, room, user, from, edit)
	if err != nil {
		return core.Member{}, err
	}
	return m, s.index(ctx, m)
}

// SetMemberRole changes the role of an active member by CAS: see core.Store.
func (s *Store) SetMemberRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (_ core.Member, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
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

// member is a member in one of some states, by a fresh proof, and the record's
// revision.
func (s *Store) member(ctx context.Context, room core.RoomID, user core.UserID, in ...core.MemberState) (core.Member, uint64, error) {
	if err := s.awaitProof(ctx, core.TableMembers); err != nil {
		return core.Member{}, 0, err
	}
	r, ok, err := s.buckets[core.TableMembers].find(core.MemberRow(core.Member{Room: room, User: user}).Key)
	if err != nil {
		return core.Member{}, 0, err
	}
	if !ok || !slices.Contains(in, r.member.State) {
		return core.Member{}, 0, core.Errorf(core.KindNotFound, "%s is not a member of the room %s", user.Short(), room)
	}
	return cloneMember(*r.member), r.rev, nil
}

// changeMember changes a member in one of some states, and decides again when
// another writer was faster.
func (s *Store) changeMember(ctx context.Context, room core.RoomID, user core.UserID, from []core.MemberState, edit func(*core.Member)) (core.Member, error) {
	for range casTries {
		m, rev, err := s.member(ctx, room, user, from...)
		if err != nil {
			return core.Member{}, err
		}
		known := core.ValueVersion(core.MemberRow(m).Value) // a removal must be possible beside a node that cannot read the row
		edit(&m)
		row := core.MemberRow(m)
		_, err = s.set(ctx, message{key: row.Key, value: row.Value, expect: &rev, known: known}, row.Table)
		if core.KindOf(err) != core.KindConflict {
			return m, err
		}
		ctx = asOfNow(ctx)
	}
	return core.Member{}, core.Errorf(core.KindConflict, "the member %s of %s was changed by other writers again and again", user.Short(), room).WithNext("try again")
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
	if err := s.awaitProof(ctx, core.TableRooms, core.TableMembers); err != nil {
		return nil, err
	}
	if _, _, err := s.seenRoom(room); err != nil {
		return nil, err
	}
	var active []core.Member
	var bad error
	err = s.buckets[core.TableMembers].read(func(t *table) {
		bad = t.activeIn(t.namesByPrefix[string(room)], func(user string) string { return string(room) + "." + user },
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
	if err := s.awaitProof(ctx, core.TableMembers); err != nil {
		return 0, 0, err
	}
	counts, err := s.countMembers([]core.RoomID{room})
	return counts[room].active, counts[room].invited, err
}

// MemberCounts is how many active members each of some rooms has: see core.Store.
func (s *Store) MemberCounts(ctx context.Context, rooms []core.RoomID) (map[core.RoomID]int, error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.awaitProof(ctx, core.TableMembers); err != nil {
		return nil, err
	}
	all, err := s.countMembers(rooms)
	if err != nil {
		return nil, err
	}
	counts := make(map[core.RoomID]int, len(all))
	for room, n := range all {
		counts[room] = n.active
	}
	return counts, nil
}

// countMembers reads the counts of some rooms as the watch has them. A room with a record
// that cannot be read has none.
func (s *Store) countMembers(rooms []core.RoomID) (map[core.RoomID]memberCount, error) {
	counts := make(map[core.RoomID]memberCount, len(rooms))
	var bad error
	broken := s.buckets[core.TableMembers].read(func(t *table) {
		for _, room := range rooms {
			counts[room] = t.members[room]
		}
		for key, err := range t.faulty {
			room, _, _ := strings.Cut(key, ".")
			if _, isCounted := counts[core.RoomID(room)]; isCounted {
				bad = err
			}
		}
	})
	return counts, firstError(broken, bad)
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
	if err := s.awaitProof(ctx, core.TableMembers); err != nil {
		return nil, err
	}
	return s.roomsOf(user)
}

// roomsOf reads them as the watch has them; the caller has a proof.
func (s *Store) roomsOf(user core.UserID) ([]core.RoomID, error) {
	var rooms []core.RoomID
	var bad error
	err := s.buckets[core.TableMembers].read(func(t *table) {
		of := t.roomsByUser[string(user)]
		if len(of) == 0 { // an admission asks for them every time
			return
		}
		bad = t.activeIn(of, func(room string) string { return room + "." + string(user) },
			func(m core.Member) { rooms = append(rooms, m.Room) })
	})
	if err = firstError(err, bad); err != nil {
		return nil, err
	}
	return rooms, nil
}

func checkRole(role core.MemberRole) error {
	if slices.Contains(core.MemberRoles(), role) {
		return nil
	}
	return core.Errorf(core.KindInvalid, "%q is not a role of members", role).WithNext("use %s", core.JoinWords(core.MemberRoles()))
}

// activeIn calls each for the active members among keys made of a group and its
// names, in order.
func (t *table) activeIn(names map[string]struct{}, key func(name string) string, each func(core.Member)) error {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		r := t.records[key(name)]
		if r.err != nil {
			return r.err
		}
		if r.member.State == core.MemberActive {
			each(*r.member)
		}
	}
	return nil
}
