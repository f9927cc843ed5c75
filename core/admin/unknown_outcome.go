package admin

import (
	"context"
	"fmt"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/core/request"
)

// An act whose answer was lost is repeated if it is idempotent. The state of any other is
// read back: a second one could undo what another operator did meanwhile.

// UserAdd adds a user of an id, a name, a role and an end. KindExists. A user who is there
// as asked for counts as added if an answer was lost.
func (c *Client) UserAdd(ctx context.Context, u core.User) (core.User, error) {
	out, err := call[core.User](ctx, c, TargetAny, verbUserAdd, u)
	if core.KindOf(err) != core.KindExists || core.OutcomeOf(err) != core.OutcomeUnknown {
		return out, err
	}
	there, e := request.ReadBack(ctx, unknownError(verbUserAdd, string(u.ID), err), func(ctx context.Context) (core.User, error) { return c.UserGet(ctx, string(u.ID)) })
	if e == nil && !there.IsAddedAs(u) {
		return core.User{}, core.AsError(err).WithOutcome("")
	}
	return there, e
}

// UserActivate admits a revoked user again. KindNotFound.
func (c *Client) UserActivate(ctx context.Context, id string) (core.User, error) {
	u, err := call[core.User](ctx, c, TargetAny, verbUserActivate, userRequest{ID: id})
	return c.readBackUser(ctx, u, err, id, func(u core.User) bool { return u.Status == core.UserActive })
}

// UserExtend gives a user another end; 0 is none. KindNotFound; KindInvalid for a time that is over.
func (c *Client) UserExtend(ctx context.Context, id string, expires core.Millis) (core.User, error) {
	u, err := call[core.User](ctx, c, TargetAny, verbUserExtend, extendRequest{ID: id, Expires: expires})
	return c.readBackUser(ctx, u, err, id, func(u core.User) bool { return u.Expires == expires })
}

func (c *Client) readBackUser(ctx context.Context, u core.User, err error, id string, inForce func(core.User) bool) (core.User, error) {
	return request.Resolve(ctx, u, err, func(ctx context.Context) (core.User, error) { return c.UserGet(ctx, id) }, inForce,
		func(u core.User) string {
			end := "without an end"
			if u.Expires != 0 {
				end = "with the end " + u.Expires.Time().UTC().Format("2006-01-02 15:04 MST")
			}
			return fmt.Sprintf("%s is %s, %s", u.ID.Short(), u.Status, end)
		})
}

// NodeResume ends the maintenance of a node. KindNotFound where there is none.
func (c *Client) NodeResume(ctx context.Context, name string) (NodeDrained, error) {
	out, err := call[NodeDrained](ctx, c, TargetAny, verbNodeResume, nodeRequest{Name: name})
	look := func(ctx context.Context) (NodeDrained, error) {
		st, err := c.Status(ctx)
		m, lasts := st.InMaintenance(name)
		m.Node, m.Ended = name, !lasts
		return NodeDrained{Maintenance: m}, err
	}
	return request.Resolve(ctx, out, err, look, func(d NodeDrained) bool { return d.Ended },
		func(NodeDrained) string { return name + " is in maintenance" })
}

// readBackMigration reads back what a verb has changed in the migration.
func (c *Client) readBackMigration(ctx context.Context, st migrate.Status, err error, inForce func(migrate.Status) bool) (migrate.Status, error) {
	return request.Resolve(ctx, st, err, c.Migration, inForce, func(st migrate.Status) string {
		return fmt.Sprintf("the migration is in the state %s", st.State)
	})
}
