package client

import (
	"context"

	"unibus/core"
	"unibus/core/control"
)

// Profile is the part of a user's record that every user may read. KindNotFound.
func (c *Client) Profile(ctx context.Context, user core.UserID) (control.Profile, error) {
	return sendRetryingIfOpen(ctx, c, readOnly, func(ctx context.Context) (control.Profile, error) { return c.api.User(ctx, user) })
}

// AddUser adds a user; role "" is member, name "" is none. For user-admins.
// KindExists also if an earlier call, whose outcome was not known, has added them.
func (c *Client) AddUser(ctx context.Context, user core.UserID, name string, role core.UserRole) (core.User, error) {
	req := control.AddUserRequest{User: string(user), Role: role}
	if name != "" {
		req.Name = &name
	}
	return sendRetryingIfOpen(ctx, c, once, func(ctx context.Context) (core.User, error) { return c.api.AddUser(ctx, req) })
}

// Revoke denies a user, ends their sessions on every node, and returns each node's
// answer. It is sent again until its outcome is known. For user-admins.
func (c *Client) Revoke(ctx context.Context, user core.UserID) (control.Revoked, error) {
	return sendRetryingIfOpen(ctx, c, idempotent, func(ctx context.Context) (control.Revoked, error) { return c.api.RevokeUser(ctx, user) })
}

// Activate admits a revoked user again. It is sent once: another admin may have
// revoked the user meanwhile. For user-admins.
func (c *Client) Activate(ctx context.Context, user core.UserID) (core.User, error) {
	return sendRetryingIfOpen(ctx, c, once, func(ctx context.Context) (core.User, error) { return c.api.ActivateUser(ctx, user) })
}
