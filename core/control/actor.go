package control

import (
	"context"
	"encoding/json"

	"unibus/core"
	"unibus/core/seal"
)

// actor is the caller, and their rank in the room that the request names.
type actor struct {
	store    core.Store
	chains   *seal.ProofCache
	user     core.User
	room     core.Room
	rank     roomRank
	rule     Rule // of the method that is asked for
	isMember bool // has a record of their own as an active member
}

func (a *actor) id() core.UserID { return a.user.ID }

// userAdmin says whether the caller acts with a user-admin's right.
func (a *actor) userAdmin() bool { return a.user.Role == core.RoleAdmin && !a.membersDecide() }

// membersDecide is true of a request that lets a user read in an encrypted
// room. There a user-admin's right ends: the members' programs give the key to
// all users whom the control plane calls members.
func (a *actor) membersDecide() bool { return a.rule.GivesReadAccess && a.room.Encrypted }

// loadRoom reads the room of a request by a fresh proof, and the actor's role in it. To
// outsiders a room that is not there and one that is not theirs look the same.
func (a *actor) loadRoom(ctx context.Context, body []byte) error {
	rule := a.rule
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
	hidden := core.KindOf(err) == core.KindNotFound && !(rule.UserAdminAllowed && a.userAdmin())
	if err != nil && !hidden {
		return err
	}
	a.isMember = m != nil
	if !hidden {
		a.rank = roomRankOf(a.room, a.id(), m)
	}
	switch {
	case a.rank != outsider || rule.UserAdminAllowed && a.userAdmin():
	case a.user.Role == core.RoleAdmin && a.membersDecide():
		return a.notForUserAdmins()
	default:
		return core.Errorf(core.KindRefused, "there is no room %s of which %s is a member", id, a.id().Short()).
			WithNext("ask the room's owner for an invitation")
	}
	if a.room.State == core.RoomArchived && !rule.AllowedInArchived {
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
	if a.user.Role == core.RoleAdmin && a.membersDecide() {
		return a.notForUserAdmins()
	}
	e := core.Errorf(core.KindRefused, "%s may not ask for %s", a.id().Short(), m)
	if rule.inRoom() {
		return e.WithNext("it takes the room's role %s", roleOf(rule.Least))
	}
	return e.WithNext("it takes a user of role admin")
}

func (a *actor) notForUserAdmins() error {
	return core.Errorf(core.KindRefused, "the room %s is encrypted: a user-admin can remove members and archive it, but cannot let anybody read in it", a.room.ID).
		WithNext("ask the room's owner, or one of its admins, to invite")
}
