package control

import (
	"context"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/seal"
)

// invite asks an active user into the room. The invitation is pending until it
// is answered: it costs the inviter, and nothing changes for the invited.
func (s *Service) invite(ctx context.Context, a *actor, req inviteRequest) (any, error) {
	if req.Role == "" {
		req.Role = core.MemberMember
	}
	if req.Role != core.MemberMember && req.Role != core.MemberAdmin {
		return nil, core.Errorf(core.KindInvalid, "%.40q is not a role that a user can be invited to", req.Role).WithNext("use member or admin")
	}
	if len(req.Proof) > maxProof {
		return nil, request.TooLarge("the proof", len(req.Proof), maxProof)
	}
	if core.HasStatements(req.Proof) { // whatever is kept as a statement was verified as one before
		return nil, core.Errorf(core.KindInvalid, "the proof of an invitation to the room %s has the form of members' statements", a.room.ID).
			WithNext("send statements by the method that appends them")
	}
	if !mayChangeMember(a.rank, a.userAdmin(), req.Role) {
		return nil, a.outranked(req.Role)
	}
	if err := a.membersSign(ctx); err != nil {
		return nil, err
	}
	id, err := core.ParseUserID(req.User)
	if err != nil {
		return nil, err
	}
	u, err := a.store.User(ctx, id)
	if err != nil {
		return nil, err
	}
	if status := u.StatusAt(s.cfg.Now()); status != core.UserActive {
		return nil, core.Errorf(core.KindRefused, "%s is %s and cannot be invited", id.Short(), status).WithNext("a user-admin can activate a revoked user, and an operator can extend an expired one")
	}
	by := string(a.id())
	m := core.Member{Room: a.room.ID, User: id, Role: req.Role, State: core.MemberInvited, InvitedBy: &by, Proof: req.Proof, Joined: s.cfg.Now()}
	return s.keepInvitation(ctx, a, m)
}

// keepInvitation stores one, unless it is there already. One whose inviter may not
// invite any more is replaced: its person could not accept it.
func (s *Service) keepInvitation(ctx context.Context, a *actor, m core.Member) (any, error) {
	pending, err := a.store.Invitations(ctx, core.InvitationFilter{Room: m.Room, User: m.User})
	if err != nil {
		return nil, err
	}
	if len(pending) > 0 && pending[0].Role == m.Role {
		if err := s.stillInvited(ctx, a, pending[0]); core.KindOf(err) != core.KindRefused {
			return pending[0], err
		}
	}
	if len(pending) > 0 && !mayChangeMember(a.rank, a.userAdmin(), pending[0].Role) {
		return nil, a.outranked(pending[0].Role)
	}
	if err := s.mayInvite(ctx, a.store, a.id(), m, len(pending) > 0); err != nil {
		return nil, err
	}
	if err := a.store.PutMember(ctx, m); err != nil {
		return nil, err
	}
	s.tellInvitation(a, m, InvitationPending)
	return m, nil
}

// invitations are the caller's own.
func (s *Service) invitations(ctx context.Context, a *actor, p request.Page) (any, error) {
	pending, err := a.store.Invitations(ctx, core.InvitationFilter{User: a.id()})
	if err != nil {
		return nil, err
	}
	all := make([]Invitation, 0, len(pending))
	for _, m := range pending {
		r, err := a.store.Room(ctx, m.Room)
		if err != nil {
			return nil, err
		}
		if r.State != core.RoomActive {
			continue
		}
		i := Invitation{Room: r.ID, Name: r.Name, Encrypted: r.Encrypted, Role: m.Role, By: inviter(m), At: m.Joined}
		if err := a.signedInvitation(ctx, m, &i); err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	var out invitationsPage
	out.Invitations, out.Next = request.Cut(all, p, func(i Invitation) string { return string(i.Room) }, func(i Invitation) Invitation { return i })
	return out, nil
}

// signedInvitation adds what the inviter has signed, and the head over which the answer is signed.
func (a *actor) signedInvitation(ctx context.Context, m core.Member, i *Invitation) error {
	st, signed := seal.LastInProof(m.Proof)
	if !signed {
		return nil
	}
	rows, err := a.store.RoomMembers(ctx, m.Room)
	if err != nil {
		return err
	}
	i.Statement, i.Chain = st.Bytes(), headOf(rows)
	return nil
}

func inviter(m core.Member) core.UserID {
	if m.InvitedBy == nil {
		return ""
	}
	return core.UserID(*m.InvitedBy)
}

// invitation is the caller's to a room.
func (a *actor) invitation(ctx context.Context, room string) (core.Member, error) {
	id, err := core.ParseRoomID(room)
	if err != nil {
		return core.Member{}, err
	}
	pending, err := a.store.Invitations(ctx, core.InvitationFilter{Room: id, User: a.id()})
	if err == nil && len(pending) == 0 {
		err = core.Errorf(core.KindNotFound, "there is no invitation of %s to a room %s", a.id().Short(), id).WithNext("ask the room's owner for one")
	}
	if err != nil {
		return core.Member{}, err
	}
	return pending[0], nil
}

// accept makes a member of the caller. The inviter must still be allowed to invite,
// and the caller must be below the limit of rooms.
func (s *Service) accept(ctx context.Context, a *actor, req roomRequest) (any, error) {
	m, err := a.invitation(ctx, req.Room)
	if err != nil {
		return nil, err
	}
	if a.room, err = a.store.Room(ctx, m.Room); err != nil {
		return nil, err
	}
	if err := a.membersSign(ctx); err != nil { // the invitation may be older than the chain
		return nil, err
	}
	if a.room.State == core.RoomArchived {
		return nil, core.ErrArchived(a.room.ID)
	}
	if err := s.stillInvited(ctx, a, m); err != nil {
		return nil, err
	}
	if err := s.checkRoomLimit(ctx, a.store, a.id()); err != nil {
		return nil, err
	}
	if err := s.endInvitations(ctx, a, m.User, outsider, rankOf(m.Role)); err != nil {
		return nil, err
	}
	if m, err = a.store.AcceptInvitation(ctx, m.Room, m.User, s.cfg.Now()); err != nil {
		return nil, err
	}
	if err := s.undoOverRoomLimit(ctx, a.store, m); err != nil {
		return nil, err
	}
	s.announceMember(a, m, true)
	s.tellInvitation(a, m, InvitationAccepted)
	return m, nil
}

// stillInvited refuses an invitation by a user who may not invite any more.
func (s *Service) stillInvited(ctx context.Context, a *actor, m core.Member) error {
	over := core.Errorf(core.KindRefused, "the invitation to the room %s is not valid any more: the inviter may no longer invite to that room", m.Room).
		WithNext("ask the room's owner for another one")
	by, err := a.store.User(ctx, inviter(m))
	if core.KindOf(err) == core.KindNotFound || err == nil && !by.IsActive(s.cfg.Now()) {
		return over
	}
	if err != nil {
		return err
	}
	i := &actor{store: a.store, chains: a.chains, user: by, room: a.room, rule: Rules()[methodInvite]}
	record, err := i.memberOf(ctx, m.Room, by.ID)
	if err != nil {
		return err
	}
	if i.rank = roomRankOf(a.room, by.ID, record); !mayChangeMember(i.rank, i.userAdmin(), m.Role) {
		return over
	}
	return nil
}

func (s *Service) decline(ctx context.Context, a *actor, req roomRequest) (any, error) {
	m, err := a.invitation(ctx, req.Room)
	if err != nil {
		return nil, err
	}
	if a.room, err = a.store.Room(ctx, m.Room); err != nil {
		return nil, err
	}
	if a.room.Encrypted {
		if err := mustSign(m.Room, m); err != nil {
			return nil, err
		}
	}
	return s.removeAndAnnounce(ctx, a, m)
}

// endInvitations ends the pending invitations by a user that the rank before did not allow and
// the next one does, before the user has it: they were made before the user lost that right, and
// nobody has allowed them since. In a room whose members sign, their statements do that. Invitations by a user-admin count
// at every rank.
func (s *Service) endInvitations(ctx context.Context, a *actor, by core.UserID, before, next roomRank) error {
	pending, err := a.store.Invitations(ctx, core.InvitationFilter{Room: a.room.ID, By: by})
	if err != nil || len(pending) == 0 {
		return err
	}
	u, err := a.store.User(ctx, by)
	if err != nil || u.Role == core.RoleAdmin {
		return err
	}
	for _, m := range pending {
		if mayChangeMember(before, false, m.Role) || !mayChangeMember(next, false, m.Role) {
			continue
		}
		if _, err := s.removeAndAnnounce(ctx, a, m); err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
	}
	return nil
}
