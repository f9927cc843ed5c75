package client

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/control"
)

// Profile is the part of a user's record that every user may read. KindNotFound.
func (c *Client) Profile(ctx context.Context, user core.UserID) (control.Profile, error) {
	return sendRetryingIfOpen(ctx, c, readOnly, func(ctx context.Context) (control.Profile, error) { return c.api.User(ctx, user) })
}

// NewUser is a user to add. The zero values are a member without a name and without an end.
type NewUser struct {
	ID   core.UserID
	Name string
	Role core.UserRole
	Ends time.Time // the user is denied from then on
}

// AddUser adds a user. It is sent again until its outcome is known. For user-admins.
// KindInvalid for an end that is over.
func (c *Client) AddUser(ctx context.Context, u NewUser) (core.User, error) {
	req := control.AddUserRequest{User: string(u.ID), Role: u.Role}
	if u.Name != "" {
		req.Name = &u.Name
	}
	if !u.Ends.IsZero() {
		req.Expires = core.MillisOf(u.Ends)
	}
	return c.addUser(ctx, req)
}

// Revoke denies a user, ends their sessions on every node, and returns each node's
// answer. It is sent again until its outcome is known. For user-admins.
func (c *Client) Revoke(ctx context.Context, user core.UserID) (control.Revoked, error) {
	return sendRetryingIfOpen(ctx, c, idempotent, func(ctx context.Context) (control.Revoked, error) { return c.api.RevokeUser(ctx, user) })
}

// Activate admits a revoked user again. It is sent once: another admin may have
// revoked the user meanwhile. If its answer was lost, the user is read back. For user-admins.
func (c *Client) Activate(ctx context.Context, user core.UserID) (core.User, error) {
	if err := c.checkOpen(); err != nil {
		return core.User{}, err
	}
	act := func(ctx context.Context) (core.User, error) { return c.api.ActivateUser(ctx, user) }
	return sendOnce(ctx, c, act, c.userStatusCheck(user, core.UserActive))
}
