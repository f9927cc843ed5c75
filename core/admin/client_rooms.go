package admin

import "context"

// MemberPage returns a room with a page of its members, the first with the room's
// key health. KindNotFound.
func (c *Client) MemberPage(ctx context.Context, req RoomRequest) (RoomDetail, error) {
	return call[RoomDetail](ctx, c, TargetAny, verbRoomGet, req)
}

// RoomGet returns a room with all its members, fetched page by page, and its key health. KindNotFound.
func (c *Client) RoomGet(ctx context.Context, id string) (RoomDetail, error) {
	all, err := c.MemberPage(ctx, RoomRequest{ID: id})
	for err == nil && all.Next != "" {
		var more RoomDetail
		if more, err = c.MemberPage(ctx, RoomRequest{ID: id, After: all.Next}); err == nil {
			all = all.With(more)
		}
	}
	return all, err
}

// RoomStatements returns a page of the statements about a room's members, as one node
// keeps them. KindNotFound.
func (c *Client) RoomStatements(ctx context.Context, req RoomStatementsRequest) (RoomStatements, error) {
	return call[RoomStatements](ctx, c, TargetAny, verbRoomStatements, req)
}

// With is a room and what the next page of it has.
func (d RoomDetail) With(next RoomDetail) RoomDetail {
	d.Members = append(d.Members[:len(d.Members):len(d.Members)], next.Members...)
	d.Next = next.Next
	return d
}

// RoomRekey asks a member of a room for a new key. KindRefused where none is
// needed or no member is there to make one.
func (c *Client) RoomRekey(ctx context.Context, req RekeyRequest) (Asked, error) {
	return call[Asked](ctx, c, TargetAny, verbRoomRekey, req)
}
