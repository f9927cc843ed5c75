package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/request"
)

// roomBus is what the node sees and says in rooms.
type roomBus interface {
	// Present lists the users that have a room open, of every configured node by name.
	// It takes well under a second: a node that is silent is unknown.
	Present(ctx context.Context, room core.RoomID) map[string]Present
	// Ask tells a room that an operator asks a member for a new key.
	Ask(room core.RoomID, epoch core.Epoch, member core.UserID) error
	// UserChanged tells the rooms of a user who was revoked or activated. A room that is not told finds out by itself, later.
	UserChanged(ctx context.Context, st core.Store, u core.User)
}

// roomState is a room with its members and users, by a fresh proof.
type roomState struct {
	core.RoomKeys
	members map[core.UserID]core.Member
	users   map[core.UserID]core.User
	at      core.Millis // when it was read: users expire
}

// openRoom reads the boxes before the members. So a member who has just been invited
// and given a box does not pass for removed.
func openRoom(ctx context.Context, st core.Store, id core.RoomID) (o roomState, err error) {
	o.at = core.MillisOf(time.Now())
	if o.Room, err = st.Room(ctx, id); err != nil {
		return o, err
	}
	var members []core.Member
	o.Room, err = core.AtOneEpoch(ctx, st, o.Room, func(holders []core.UserID) (err error) {
		o.Holders = holders
		if members, err = st.Members(ctx, id); err == nil {
			o.users, err = allUsers(ctx, st)
		}
		return err
	})
	o.members = make(map[core.UserID]core.Member, len(members))
	for _, m := range members {
		m.Proof, m.Role = nil, roleIn(o.Room, m)
		o.Members, o.members[m.User] = append(o.Members, m.User), m
	}
	return o, err
}

func allUsers(ctx context.Context, st core.Store) (map[core.UserID]core.User, error) {
	all, err := st.Users(ctx)
	users := make(map[core.UserID]core.User, len(all))
	for _, u := range all {
		users[u.ID] = u
	}
	return users, err
}

// roleIn is a member's role as control has it: the room says who owns it.
func roleIn(r core.Room, m core.Member) core.MemberRole {
	switch {
	case r.Owner == m.User:
		return core.MemberOwner
	case m.Role == core.MemberOwner:
		return core.MemberAdmin
	}
	return m.Role
}

func (o roomState) active(id core.UserID) bool { return o.users[id].IsActive(o.at) }

func (o roomState) person(id core.UserID) RoomPerson {
	u := o.users[id]
	return RoomPerson{User: id, Name: u.Name, Role: o.members[id].Role, Status: u.StatusAt(o.at)}
}

func (o roomState) people(ids []core.UserID) []RoomPerson {
	out := []RoomPerson{}
	for _, id := range ids[:min(len(ids), peopleShown)] {
		out = append(out, o.person(id))
	}
	return out
}

// healthOf derives how it stands with a room's key.
func healthOf(k core.RoomKeys, active func(core.UserID) bool) KeyHealth {
	switch {
	case k.Room.State == core.RoomArchived:
		return KeyHealth{State: KeysArchived}
	case !k.Room.Encrypted:
		return KeyHealth{State: KeysPlain}
	}
	h := KeyHealth{State: KeysOK, Unkeyed: len(k.Unkeyed(active)), MustRekey: len(k.MustRekey(active))}
	switch {
	case h.MustRekey > 0:
		h.State = KeysRekey
	case h.Unkeyed > 0:
		h.State = KeysMissing
	}
	return h
}

// sealed says that the room has a key that can be well or ill.
func (h KeyHealth) sealed() bool { return h.State != KeysPlain && h.State != KeysArchived }

// openNamed reads the room that a request names.
func (s *Service) openNamed(ctx context.Context, room string) (core.Store, roomState, error) {
	id, err := core.ParseRoomID(room)
	if err != nil {
		return nil, roomState{}, err
	}
	st, err := s.cfg.Store.Store()
	if err != nil {
		return nil, roomState{}, err
	}
	o, err := openRoom(ctx, st, id)
	return st, o, err
}

func (s *Service) roomGet(ctx context.Context, _ core.Operator, req RoomRequest) (any, error) {
	st, o, err := s.openNamed(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	out := RoomDetail{Room: o.Room, Count: len(o.Members)}
	out.Members, out.Next = o.page(req)
	if req.After != "" {
		return out, nil
	}
	if out.Invited, out.InvitedCount, err = o.invitations(ctx, st); err != nil {
		return nil, err
	}
	if out.Chain, err = s.chainOf(ctx, o.Room); err != nil {
		return nil, err
	}
	out.Keys, err = s.keysOf(ctx, st, o)
	return out, err
}

// invitations returns the room's pending invitations, at most peopleShown, and their number.
func (o roomState) invitations(ctx context.Context, st core.Store) (shown []RoomInvitation, all int, err error) {
	pending, err := st.Invitations(ctx, core.InvitationFilter{Room: o.Room.ID})
	for _, m := range pending[:min(len(pending), peopleShown)] {
		in := RoomInvitation{User: m.User, Name: o.users[m.User].Name, Role: m.Role, At: m.Joined}
		if m.InvitedBy != nil {
			in.By = *m.InvitedBy
		}
		shown = append(shown, in)
	}
	return shown, len(pending), err
}

// page is the members after req.After.
func (o roomState) page(req RoomRequest) (page []RoomMember, next string) {
	boxed := make(map[core.UserID]bool, len(o.Holders))
	for _, id := range o.Holders {
		boxed[id] = true
	}
	return request.Cut(o.Members, request.Page{After: req.After, Limit: req.Limit}, func(id core.UserID) string { return string(id) },
		func(id core.UserID) RoomMember {
			u := o.users[id]
			return RoomMember{Member: o.members[id], Name: u.Name, Status: u.StatusAt(o.at), Boxed: boxed[id]}
		})
}

// keysOf is the whole of a room's key health.
func (s *Service) keysOf(ctx context.Context, st core.Store, o roomState) (*RoomKeys, error) {
	out := RoomKeys{KeyHealth: healthOf(o.RoomKeys, o.active), WithoutKey: []RoomPerson{}, StillKnow: []RoomPerson{}, CanRekey: []RoomPerson{}, Silent: []string{}}
	if !out.sealed() {
		out.CannotAsk = rekeyRefusal(o, out, nil)
		return &out, nil
	}
	var err error
	if out.Since, err = s.keys.since(ctx, st, o.Room); err != nil {
		return nil, err
	}
	out.WithoutKey, out.StillKnow = o.people(o.Unkeyed(o.active)), o.people(o.MustRekey(o.active))
	can, silent := s.canRekey(ctx, o)
	out.CanCount, out.Silent = len(can), silent
	for _, p := range can {
		if len(p.Nodes) > 0 {
			out.Online++
		}
	}
	out.CanRekey = can[:min(len(can), peopleShown)]
	out.CannotAsk = rekeyRefusal(o, out, can)
	return &out, nil
}

// roomRanks orders people by what they may do in a room.
var roomRanks = map[core.MemberRole]int{core.MemberOwner: 0, core.MemberAdmin: 1, core.MemberMember: 2}

// canRekey lists the members who could make a key, the best choice first, and the
// nodes that did not say which users are there.
func (s *Service) canRekey(ctx context.Context, o roomState) (can []RoomPerson, silent []string) {
	nodes, silent := map[core.UserID][]string{}, []string{}
	for name, p := range s.cfg.Bus.Present(ctx, o.Room.ID) {
		if p.Unknown {
			silent = append(silent, name)
		}
		for _, id := range p.Users {
			nodes[id] = append(nodes[id], name)
		}
	}
	slices.Sort(silent)
	can = []RoomPerson{}
	for _, id := range o.CanRekey(o.active) {
		p := o.person(id)
		p.Nodes = slices.Sorted(slices.Values(nodes[id]))
		can = append(can, p)
	}
	slices.SortFunc(can, func(a, b RoomPerson) int {
		return cmp.Or(cmp.Compare(min(1, len(b.Nodes)), min(1, len(a.Nodes))), cmp.Compare(roomRanks[a.Role], roomRanks[b.Role]), cmp.Compare(a.User, b.User))
	})
	return can, silent
}
