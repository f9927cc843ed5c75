package admin

import (
	"context"

	"unibus/core/migrate"
)

// MigrateStart starts a move at the node whose database it is, or joins the one that is running.
func (c *Client) MigrateStart(ctx context.Context, node string, o migrate.Options) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigrateStart, o)
}

// MigratePause holds the copy between two batches.
func (c *Client) MigratePause(ctx context.Context, node string) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigratePause, nil)
}

// MigrateResume lets a held copy go on.
func (c *Client) MigrateResume(ctx context.Context, node string) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigrateResume, nil)
}

// MigrateAbort restores what was, before cutover. KindRefused after it.
func (c *Client) MigrateAbort(ctx context.Context, node string) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigrateAbort, nil)
}

// MigrateCutover fences the source and moves the authority. KindRefused before every bucket was verified.
func (c *Client) MigrateCutover(ctx context.Context, node string) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigrateCutover, nil)
}

// MigrateFinish ends the soak: the SQLite file is kept, read-only.
func (c *Client) MigrateFinish(ctx context.Context, node string) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigrateFinish, nil)
}

// MigrateLimit sets how many rows a second the copy writes at the most; 0 takes the limit away.
func (c *Client) MigrateLimit(ctx context.Context, node string, rate int) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigrateLimit, LimitRequest{Rate: rate})
}

// MigrateRollback brings the control plane back to a new SQLite file. KindRefused but in soak.
func (c *Client) MigrateRollback(ctx context.Context, node string) (migrate.Status, error) {
	return call[migrate.Status](ctx, c, TargetNode(node), VerbMigrateRollback, nil)
}
