package control

import (
	"context"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/request"
)

// roomCreate commits the room and then its owner as a member. A second try after
// an unknown outcome goes on where the first one stopped.
func (s *Service) roomCreate(ctx context.Context, a *actor, req CreateRequest) (any, error) {
	id, err := core.ParseRoomID(req.ID)
	if err != nil {
		return nil, err
	}
	if req.Name != nil {
		if err := core.CheckName(*req.Name); err != nil {
			return nil, err
		}
	}
	proof, err := checkFounding(a, req)
	if err != nil {
		return nil, err
	}
	if err := s.checkRoomLimit(ctx, a.store, a.id()); err != nil {
		return nil, err
	}
	if err := s.mayOwn(ctx, a.store, a.id()); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	err = a.store.CreateRoom(ctx, core.Room{
		ID: id, Name: req.Name, Owner: a.id(), Encrypted: req.Encrypted, State: core.RoomActive, Created: now,
	})
	if core.KindOf(err) == core.KindExists {
		err = checkUnfinishedCreate(ctx, a, id, req.Encrypted, err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.enterRoom(ctx, a.store, core.Member{Room: id, User: a.id(), Role: core.MemberOwner, State: core.MemberActive, Proof: proof, Joined: now}); err != nil {
		return nil, err
	}
	return a.store.Room(ctx, id)
}

// checkUnfinishedCreate is nil where the room is there because an earlier try of its owner's
// made it, encrypted or not as asked for, and got no further.
func checkUnfinishedCreate(ctx context.Context, a *actor, id core.RoomID, encrypted bool, exists error) error {
	room, err := a.store.Room(ctx, id)
	if err != nil {
		return err
	}
	if room.Owner != a.id() || room.State != core.RoomActive || room.Encrypted != encrypted {
		return exists
	}
	members, err := a.store.Members(ctx, id)
	if err == nil && len(members) > 0 {
		err = exists
	}
	return err
}

// checkRoomLimit refuses the room that a session could not have any more.
func (s *Service) checkRoomLimit(ctx context.Context, st core.Store, user core.UserID) error {
	rooms, err := st.RoomsOf(ctx, user)
	if err == nil && len(rooms) >= auth.MaxRooms {
		err = tooMany(user)
	}
	return err
}

func tooMany(user core.UserID) *core.Error {
	return core.Errorf(core.KindRefused, "%s is in %d rooms, and a user can be in no more", user.Short(), auth.MaxRooms).
		WithNext("leave a room first; one of your own once you have archived it or handed it over")
}

// enterRoom puts a member in, and takes it out again where concurrent joins make it one
// too many. With more rooms than a session may have, the user would not be admitted at
// all.
func (s *Service) enterRoom(ctx context.Context, st core.Store, m core.Member) error {
	if err := st.PutMember(ctx, m); err != nil {
		return err
	}
	return s.undoOverRoomLimit(ctx, st, m)
}

func (s *Service) undoOverRoomLimit(ctx context.Context, st core.Store, m core.Member) error {
	rooms, err := st.RoomsOf(ctx, m.User)
	if err != nil || len(rooms) <= auth.MaxRooms {
		return err
	}
	if _, err := st.RemoveMember(ctx, m.Room, m.User); err != nil && core.KindOf(err) != core.KindNotFound {
		return err
	}
	return tooMany(m.User)
}

func (s *Service) roomGet(ctx context.Context, a *actor, _ roomRequest) (any, error) {
	info := RoomInfo{Room: a.room, Role: roleOf(a.rank)}
	if !a.room.Encrypted {
		members, err := a.store.Members(ctx, a.room.ID)
		info.Members = len(members)
		return info, err
	}
	rows, err := a.store.RoomMembers(ctx, a.room.ID)
	if err != nil {
		return nil, err
	}
	info.Chain = headOf(rows)
	room, err := core.AtOneEpoch(ctx, a.store, a.room, func(holders []core.UserID) error {
		err := info.keyed(ctx, a.store, rows, holders, s.cfg.Now())
		rows = nil // they are older than what is read again
		return err
	})
	info.Room = room
	return info, err
}

// keyed counts the members who have the key. The boxes are as of now, and the people
// as of the request, which costs nothing; rows are those that the request has read, if there are
// any. A user who seems to have a box and no right to it may have joined since, so keyed reads
// the people again then, as of now.
func (i *RoomInfo) keyed(ctx context.Context, st core.Store, rows []core.Member, holders []core.UserID, now core.Millis) (err error) {
	members := slices.DeleteFunc(slices.Clone(rows), func(m core.Member) bool { return m.State != core.MemberActive })
	if rows == nil {
		members, err = st.Members(ctx, i.Room.ID)
	}
	if err == nil {
		err = i.count(ctx, st, members, holders, now)
	}
	if err != nil || i.MustRekey == 0 {
		return err
	}
	ctx = core.AsOf(ctx, time.Now())
	if members, err = st.Members(ctx, i.Room.ID); err != nil {
		return err
	}
	return i.count(ctx, st, members, holders, now)
}

func (i *RoomInfo) count(ctx context.Context, st core.Store, members []core.Member, holders []core.UserID, now core.Millis) error {
	users, err := usersOf(ctx, st, members)
	if err != nil {
		return err
	}
	active := make(map[core.UserID]bool, len(members))
	for _, m := range members {
		active[m.User] = users[m.User].IsActive(now)
	}
	i.Members, i.Unkeyed, i.MustRekey = len(members), len(members), 0
	for _, id := range holders {
		if _, member := active[id]; member {
			i.Unkeyed--
		}
		if !active[id] {
			i.MustRekey++
		}
	}
	return nil
}

// rooms reads the rooms of the caller, and no others of the store.
func (s *Service) rooms(ctx context.Context, a *actor, p request.Page) (any, error) {
	mine, err := a.store.RoomsOf(ctx, a.id())
	if err != nil {
		return nil, err
	}
	if i, found := slices.BinarySearch(mine, core.RoomID(p.After)); found {
		mine = mine[i+1:]
	} else {
		mine = mine[i:]
	}
	rooms, err := core.ReadRooms(ctx, a.store, mine)
	if err != nil {
		return nil, err
	}
	var out roomsPage
	out.Rooms, out.Next = request.Cut(rooms, p, func(r core.Room) string { return string(r.ID) }, func(r core.Room) core.Room { return r })
	return out, nil
}

func (s *Service) roomRename(ctx context.Context, a *actor, req renameRequest) (any, error) {
	if err := core.CheckName(req.Name); err != nil {
		return nil, err
	}
	return s.updateRoom(ctx, a, core.RoomChange{Name: &req.Name})
}

func (s *Service) roomArchive(ctx context.Context, a *actor, _ roomRequest) (any, error) {
	return s.updateRoom(ctx, a, core.RoomChange{State: core.RoomArchived})
}

func (s *Service) updateRoom(ctx context.Context, a *actor, c core.RoomChange) (core.Room, error) {
	r, err := a.store.UpdateRoom(ctx, a.room.ID, c)
	if err != nil {
		return core.Room{}, err
	}
	s.announce(Event{Kind: EventRoom, Room: r.ID, Epoch: r.Epoch, By: a.id()})
	return r, nil
}
