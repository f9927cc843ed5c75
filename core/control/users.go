package control

import (
	"context"
	"fmt"

	"unibus/core"
)

func profileOf(u core.User, now core.Millis) Profile {
	return Profile{ID: u.ID, Name: u.Name, Role: u.Role, Status: u.StatusAt(now), KEMKey: u.KEMKey}
}

func (s *Service) userGet(ctx context.Context, a *actor, req userRequest) (any, error) {
	id, err := core.ParseUserID(req.User)
	if err != nil {
		return nil, err
	}
	u, err := a.store.User(ctx, id)
	if err != nil {
		return nil, err
	}
	out := profileOf(u, s.cfg.Now())
	if a.userAdmin() {
		out.Record = &u
	}
	return out, nil
}

func (s *Service) userAdd(ctx context.Context, a *actor, req AddUserRequest) (any, error) {
	id, err := core.ParseUserID(req.User)
	if err != nil {
		return nil, err
	}
	if req.Role == "" {
		req.Role = core.RoleMember
	}
	if req.Name != nil {
		if err := core.CheckName(*req.Name); err != nil {
			return nil, err
		}
	}
	now := s.cfg.Now()
	if err := core.CheckNewExpiry(req.Expires, now); err != nil {
		return nil, err
	}
	u := core.User{ID: id, Name: req.Name, Role: req.Role, Status: core.UserActive, Created: now, Updated: now, Expires: req.Expires}
	if err := a.store.AddUser(ctx, u); err != nil {
		return nil, err
	}
	s.cfg.Note(a.id(), "added user "+id.Short())
	return u, nil
}

// userRevoke denies the user first, and only then ends sessions: clients come back at once.
func (s *Service) userRevoke(ctx context.Context, a *actor, req userRequest) (any, error) {
	u, err := s.setStatus(ctx, a, req, core.UserRevoked)
	if err != nil {
		return nil, err
	}
	out := Revoked{User: u, Nodes: s.cfg.EndSessions(ctx, u)}
	ended, unknown := 0, 0
	for _, e := range out.Nodes {
		ended += e.Ended
		if e.Unknown {
			unknown++
		}
	}
	s.cfg.Note(a.id(), fmt.Sprintf("revoked %s: %d sessions ended, %d nodes did not say", u.ID.Short(), ended, unknown))
	s.tellRooms(ctx, a.store, u, a.id())
	return out, nil
}

// tellRooms announces in the user's rooms that they were revoked or have expired, so that keys
// are due. It also announces that they are active again, so that no client refuses their
// messages any longer.
func (s *Service) tellRooms(ctx context.Context, st core.Store, u core.User, by core.UserID) {
	kind := EventMember
	if !u.IsActive(s.cfg.Now()) {
		kind = EventRevoked
	}
	rooms, err := st.RoomsOf(ctx, u.ID)
	if err != nil {
		s.cfg.Log.Warn("the rooms of a user could not be told of another status", "user", u.ID, "status", u.Status, "error", err)
	}
	for _, id := range rooms {
		s.announce(Event{Kind: kind, Room: id, User: u.ID, By: by})
	}
}

func (s *Service) userActivate(ctx context.Context, a *actor, req userRequest) (any, error) {
	u, err := s.setStatus(ctx, a, req, core.UserActive)
	if err != nil {
		return nil, err
	}
	s.tellRooms(ctx, a.store, u, a.id())
	s.cfg.Note(a.id(), "activated "+u.ID.Short())
	return u, nil
}

func (s *Service) setStatus(ctx context.Context, a *actor, req userRequest, status core.UserStatus) (core.User, error) {
	id, err := core.ParseUserID(req.User)
	if err != nil {
		return core.User{}, err
	}
	return a.store.SetUserStatusAs(ctx, a.id(), id, status, s.cfg.Now())
}
