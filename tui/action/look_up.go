package action

import (
	"context"

	"unibus/core"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

// NeedsLookUp is true if a node must be asked which users or room a typed command is about:
// the console knows only those that its page shows.
func (a Action) NeedsLookUp(snap *feed.Snapshot, arg string, page Selection) bool {
	switch {
	case a.ArgumentKind == KindRoom:
		id, err := core.ParseRoomID(arg)
		_, listed := snap.ListedRoom(id)
		return err == nil && !listed
	case a.ArgumentKind != KindUser:
		return false
	case arg != "":
		return true
	case page.Kind != KindUser:
		return false
	}
	for _, id := range page.IDs {
		if _, known := snap.User(core.UserID(id)); !known {
			return true
		}
	}
	return false
}

// LookUp asks a node for the users that a typed command is about: the one with the name or
// nkey arg or, without an argument, those of the page's selection. Of a room it asks whether
// there is one.
func (a Action) LookUp(ctx context.Context, c Client, arg string, page Selection) (Selection, []core.User, error) {
	if a.ArgumentKind == KindRoom {
		return Selection{Kind: KindRoom, IDs: []string{arg}}, nil, roomExists(ctx, c, core.RoomID(arg))
	}
	ids := page.IDs
	if arg != "" {
		id, err := core.ParseUserID(arg)
		if err != nil {
			u, err := userCalled(ctx, c, arg)
			return Selection{Kind: KindUser, IDs: []string{string(u.ID)}}, []core.User{u}, err
		}
		page, ids = Selection{Kind: KindUser, IDs: []string{string(id)}}, []string{string(id)}
	}
	r := core.UserPageRequest{Limit: 1}
	for _, id := range ids {
		r.Named = append(r.Named, core.UserID(id))
	}
	p, err := c.UserPage(ctx, r)
	switch {
	case err == nil && arg != "" && len(p.Named) == 0:
		return page, nil, core.Errorf(core.KindNotFound, "there is no user %s", core.UserID(ids[0]).Short()).WithNext("give a name from the users page, or another nkey")
	case err != nil:
		return page, nil, nil // their names are not needed: the node that acts will check the nkeys
	}
	return page, p.Named, nil
}

// roomExists is nil also where no node can say: the node that acts will check.
func roomExists(ctx context.Context, c Client, id core.RoomID) error {
	p, err := c.RoomPage(ctx, core.RoomPageRequest{Around: id, Limit: 1})
	if err == nil && (len(p.Rooms) == 0 || p.Rooms[0].ID != id) {
		return core.Errorf(core.KindNotFound, "there is no room %q", id).WithNext("the rooms page lists them")
	}
	return nil
}

// userCalled is the user with a name.
func userCalled(ctx context.Context, c Client, name string) (core.User, error) {
	p, err := c.UserPage(ctx, core.UserPageRequest{UserQuery: core.UserQuery{Name: name}, Limit: 2})
	switch {
	case err != nil:
		return core.User{}, err
	case p.Total == 0:
		return core.User{}, core.Errorf(core.KindNotFound, "no user is called %s", core.QuoteText(name)).WithNext("give a name from the users page, or a full nkey")
	case p.Total > 1:
		return core.User{}, core.Errorf(core.KindInvalid, "%s users are called %s", widget.FormatCount(p.Total), core.QuoteText(name)).WithNext("give the full nkey")
	}
	return p.Users[0], nil
}
