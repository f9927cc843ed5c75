package control

import (
	"cmp"
	"context"
	"slices"

	"unibus/core"
	"unibus/core/request"
)

// members is a page of a room's active members. The statements about them are not in it: a
// member has up to 700 KiB of them, and methodStatements gives them once and in their order.
func (s *Service) members(ctx context.Context, a *actor, req membersRequest) (any, error) {
	all, err := a.store.Members(ctx, a.room.ID)
	if err != nil {
		return nil, err
	}
	all = pageOf(all, req.Page)
	users, err := usersOf(ctx, a.store, all)
	if err != nil {
		return nil, err
	}
	var out membersPage
	out.Members, out.Next = request.Cut(all, req.Page, func(m core.Member) string { return string(m.User) }, func(m core.Member) Member {
		u := users[m.User]
		m.Role = roleOf(roomRankOf(a.room, m.User, &m))
		if core.HasStatements(m.Proof) {
			m.Proof = nil
		}
		shown := Member{Member: m, Name: u.Name, Status: u.StatusAt(s.cfg.Now())}
		if req.Keys {
			shown.KEMKey = u.KEMKey
		}
		return shown
	})
	return out, nil
}

// pageOf is the part of a list from which a page is cut, and one more: of the others nothing
// is read.
func pageOf(all []core.Member, p request.Page) []core.Member {
	at, found := slices.BinarySearchFunc(all, p.After, func(m core.Member, after string) int { return cmp.Compare(string(m.User), after) })
	if found {
		at++
	}
	if all = all[at:]; p.Limit > 0 && p.Limit < len(all) {
		all = all[:p.Limit+1]
	}
	return all
}

// usersOf are the users behind members. A few are looked up, of many the whole list is read.
func usersOf(ctx context.Context, st core.Store, members []core.Member) (map[core.UserID]core.User, error) {
	const few = 8
	byID := make(map[core.UserID]core.User, len(members))
	if len(members) <= few {
		for _, m := range members {
			u, err := st.User(ctx, m.User)
			if err != nil {
				return nil, err
			}
			byID[u.ID] = u
		}
		return byID, nil
	}
	all, err := st.Users(ctx)
	for _, u := range all {
		byID[u.ID] = u
	}
	return byID, err
}

func (a *actor) outranked(role core.MemberRole) error {
	return core.Errorf(core.KindRefused, "%s may do nothing about a member of role %s in the room %s", a.id().Short(), role, a.room.ID).
		WithNext("an admin may bring in and remove plain members, the owner everybody; the owner stays until the room is handed over")
}

// announceMember tells a room that one of its members has changed.
func (s *Service) announceMember(a *actor, m core.Member, joined bool) {
	s.announce(Event{Kind: EventMember, Room: m.Room, Epoch: a.room.Epoch, User: m.User, Joined: joined, By: a.id()})
}

// target is the active member that a request names, and its role.
func (a *actor) target(ctx context.Context, user string) (core.Member, core.MemberRole, error) {
	id, err := core.ParseUserID(user)
	if err != nil {
		return core.Member{}, "", err
	}
	m, err := a.store.Member(ctx, a.room.ID, id)
	return m, roleOf(roomRankOf(a.room, id, &m)), err
}

// invited is the pending invitation that a request names, where it names no member.
func (a *actor) invited(ctx context.Context, user string, notFound error) (core.Member, core.MemberRole, error) {
	id, err := core.ParseUserID(user)
	if err != nil {
		return core.Member{}, "", err
	}
	pending, err := a.store.Invitations(ctx, core.InvitationFilter{Room: a.room.ID, User: id})
	if err == nil && len(pending) == 0 {
		err = notFound
	}
	if err != nil {
		return core.Member{}, "", err
	}
	return pending[0], pending[0].Role, nil
}

func (s *Service) remove(ctx context.Context, a *actor, req memberRequest) (any, error) {
	m, role, err := a.target(ctx, req.User)
	if core.KindOf(err) == core.KindNotFound {
		m, role, err = a.invited(ctx, req.User, err)
	}
	if err != nil {
		return nil, err
	}
	if !mayChangeMember(a.rank, a.userAdmin(), role) {
		return nil, a.outranked(role)
	}
	if !a.userAdmin() { // a user-admin takes away without a statement, and it is shown as done by the servers
		if err := a.removesUnsigned(ctx, m.User); err != nil {
			return nil, err
		}
	}
	return s.removeAndAnnounce(ctx, a, m)
}

func (s *Service) leaveRoom(ctx context.Context, a *actor, _ roomRequest) (any, error) {
	if a.rank == asOwner && a.room.State != core.RoomArchived { // nothing is left to own then, and it must not count for ever
		return nil, core.Errorf(core.KindRefused, "%s owns the room %s and cannot leave it", a.id().Short(), a.room.ID).
			WithNext("hand it over first: give another member the role owner; or archive it")
	}
	if a.room.State != core.RoomArchived {
		if err := a.membersSign(ctx); err != nil {
			return nil, err
		}
	}
	m, _, err := a.target(ctx, string(a.id()))
	if err != nil {
		return nil, err
	}
	return s.removeAndAnnounce(ctx, a, m)
}

// removeAndAnnounce announces the removal of a member. The record as it was at the write
// decides: an invitation that was read before may have been accepted meanwhile.
func (s *Service) removeAndAnnounce(ctx context.Context, a *actor, m core.Member) (core.Member, error) {
	m, err := a.store.RemoveMember(ctx, m.Room, m.User)
	if err != nil {
		return core.Member{}, err
	}
	switch {
	case m.State == core.MemberActive: // the room knows nothing of invitations
		s.announceMember(a, m, false)
	case a.id() == m.User:
		s.tellInvitation(a, m, InvitationDeclined)
	default:
		s.tellInvitation(a, m, InvitationWithdrawn)
	}
	m.State = core.MemberRemoved
	return m, nil
}

func (s *Service) role(ctx context.Context, a *actor, req roleRequest) (any, error) {
	if err := a.membersSign(ctx); err != nil {
		return nil, err
	}
	m, was, err := a.target(ctx, req.User)
	switch {
	case err != nil:
		return nil, err
	case req.Role == core.MemberOwner:
		return s.handOver(ctx, a, m)
	case !mayChangeMember(a.rank, a.userAdmin(), was):
		return nil, a.outranked(was)
	}
	if err := s.endInvitations(ctx, a, m.User, rankOf(was), rankOf(req.Role)); err != nil {
		return nil, err
	}
	if m, err = a.store.SetMemberRole(ctx, m.Room, m.User, req.Role); err != nil {
		return nil, err
	}
	s.announceMember(a, m, false)
	return m, nil
}

// handOver has its one commit point in the room. From then on the room has another
// owner, and the roles in the two members' records are shown accordingly, whether they
// are written or not (roomRankOf).
func (s *Service) handOver(ctx context.Context, a *actor, m core.Member) (any, error) {
	u, err := a.store.User(ctx, m.User)
	if err != nil {
		return nil, err
	}
	if status := u.StatusAt(s.cfg.Now()); status != core.UserActive {
		return nil, core.Errorf(core.KindRefused, "%s is %s and cannot own the room %s", m.User.Short(), status, m.Room)
	}
	before := a.room.Owner
	if before != m.User {
		if err := s.mayOwn(ctx, a.store, m.User); err != nil {
			return nil, err
		}
		if err := s.endInvitations(ctx, a, m.User, roomRankOf(a.room, m.User, &m), asOwner); err != nil {
			return nil, err
		}
	}
	r, err := s.updateRoom(ctx, a, core.RoomChange{Owner: m.User, IfOwner: before}) // of two at once, the second one must not take it from the new owner
	if err != nil {
		return nil, err
	}
	if m, err = a.store.SetMemberRole(ctx, r.ID, m.User, core.MemberOwner); err != nil {
		return nil, err
	}
	if before != m.User {
		if _, err := a.store.SetMemberRole(ctx, r.ID, before, core.MemberAdmin); err != nil && core.KindOf(err) != core.KindNotFound {
			return nil, err
		}
	}
	return m, nil
}
