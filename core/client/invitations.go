package client

import (
	"context"

	"unibus/core"
	"unibus/core/control"
)

// Invitations are the pending invitations of this user, by room.
func (c *Client) Invitations(ctx context.Context) ([]control.Invitation, error) {
	return sendRetryingIfOpen(ctx, c, readOnly, func(ctx context.Context) ([]control.Invitation, error) { return c.api.Invitations(ctx) })
}

// Accept accepts an invitation to a room and opens the room. The session is renewed
// meanwhile, as with every change of a user's rooms. KindNotFound without an
// invitation; KindRefused if it is not valid any more, the room is archived, or
// this user is in the maximum number of rooms.
func (c *Client) Accept(ctx context.Context, room core.RoomID) (*Room, error) {
	tries := 0
	_, err := sendRetryingIfOpen(ctx, c, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := c.api.Accept(ctx, room)
		if tries > 1 && core.KindOf(err) == core.KindNotFound { // the attempt before has accepted it, or opening the room fails
			err = nil
		}
		return m, err
	})
	if err != nil {
		return nil, err
	}
	return c.Room(ctx, room)
}

// Decline declines an invitation. KindNotFound without one.
func (c *Client) Decline(ctx context.Context, room core.RoomID) error {
	_, err := sendRetryingIfOpen(ctx, c, once, func(ctx context.Context) (core.Member, error) { return c.api.Decline(ctx, room) })
	return err
}
