package control

import (
	"context"
	"encoding/json"

	"unibus/core"
)

// actor is who asks, and what they are in the room that the request names.
type actor struct {
	store    core.Store
	user     core.User
	room     core.Room
	standing Standing
	member   bool // has a record of their own as an active member
}

func (a *actor) id() core.UserID { return a.user.ID }

func (a *actor) userAdmin() bool { return a.user.Role == core.RoleAdmin }

// into reads the room of a request by a fresh proof, and what the actor is in it.
// To outsiders a room that is not there and one that is not theirs look the same.
func (a *actor) into(ctx context.Context, body []byte, rule Rule) error {
	var named struct {
		Req struct {
			Room string `json:"room"`
		} `json:"req"`
	}
	if err := json.Unmarshal(body, &named); err != nil {
		return core.Errorf(core.KindInvalid, "the request cannot be read: %w", err)
	}
	id, err := core.ParseRoomID(named.Req.Room)
	if err != nil {
		return err
	}
	m, err := a.memberOf(ctx, id, a.id())
	if err != nil {
		return err
	}
	a.room, err = a.store.Room(ctx, id)
	hidden := core.KindOf(err) == core.KindNotFound && !(rule.UserAdmin && a.userAdmin())
	if err != nil && !hidden {
		return err
	}
	a.member = m != nil
	if !hidden {
		a.standing = standingOf(a.room, a.id(), m)
	}
	if a.standing == Outside && !(rule.UserAdmin && a.userAdmin()) {
		return core.Errorf(core.KindRefused, "there is no room %s of which %s is a member", id, a.id().Short()).
			WithNext("ask the room's owner for an invitation")
	}
	if a.room.State == core.RoomArchived && !rule.Archived {
		return core.ErrArchived(id)
	}
	return nil
}

// memberOf is an active member of a room, nil where they are not one.
func (a *actor) memberOf(ctx context.Context, room core.RoomID, user core.UserID) (*core.Member, error) {
	m, err := a.store.Member(ctx, room, user)
	if core.KindOf(err) == core.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &m, nil
}

func (a *actor) refused(m Method, rule Rule) error {
	e := core.Errorf(core.KindRefused, "%s may not ask for %s", a.id().Short(), m)
	if rule.inRoom() {
		return e.WithNext("it takes the room's role %s", roleOf(rule.Least))
	}
	return e.WithNext("it takes a user of role admin")
}
