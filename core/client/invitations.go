package client

import (
	"context"

	"unibus/core"
	"unibus/core/control"
)

// Invitations are those that this user has not answered yet, by room.
func (c *Client) Invitations(ctx context.Context) ([]control.Invitation, error) {
	return request(ctx, c, readOnly, c.api.Invitations)
}

// Accept takes an invitation to a room and opens the room. The session is renewed
// meanwhile, as with every change of a user's rooms. KindNotFound where there is
// no invitation; KindRefused where it does not count any more, the room is
// archived, or this user is in as many rooms as a session can have.
func (c *Client) Accept(ctx context.Context, room core.RoomID) (*Room, error) {
	tries := 0
	_, err := request(ctx, c, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := c.api.Accept(ctx, room)
		if tries > 1 && core.KindOf(err) == core.KindNotFound { // by the try before; opening the room tells
			err = nil
		}
		return m, err
	})
	if err != nil {
		return nil, err
	}
	return c.Room(ctx, room)
}

// Decline turns an invitation down. KindNotFound where there is none.
func (c *Client) Decline(ctx context.Context, room core.RoomID) error {
	_, err := request(ctx, c, once, func(ctx context.Context) (core.Member, error) { return c.api.Decline(ctx, room) })
	return err
}
