package admin

import (
	"context"
	"errors"
	"slices"

	"unibus/core"
	"unibus/core/migrate"
)

// MigrationNodeDown says that the node of a migration does not answer. No other node can run it.
func MigrationNodeDown(node string) error {
	return core.Errorf(core.KindUnavailable, "%s runs the migration and is down", node).
		WithNext("start unibusd on %s; `unibusd migration status` at any node says what it wrote down last", node)
}

// callMigrationNode sends a verb to the node that runs the migration.
func (c *Client) callMigrationNode(ctx context.Context, node string, v Verb, req any) (migrate.Status, error) {
	st, err := call[migrate.Status](ctx, c, TargetNode(node), v, req)
	if errors.Is(err, errNoResponder) {
		return st, MigrationNodeDown(node)
	}
	return st, err
}

// Migration is the state of the migration. After a dry run of this client it is that
// run's result: a dry run writes nothing, so that its node alone knows.
func (c *Client) Migration(ctx context.Context) (migrate.Status, error) {
	c.mu.Lock()
	looked := c.dryRunNode
	c.mu.Unlock()
	if looked != "" {
		st, err := call[migrate.Status](ctx, c, TargetNode(looked), verbMigration, nil)
		if core.KindOf(err) != core.KindUnavailable {
			return st, err
		}
	}
	return call[migrate.Status](ctx, c, TargetAny, verbMigration, nil)
}

// MigrateStart starts a migration at the node whose database it is, or joins the one that is running.
func (c *Client) MigrateStart(ctx context.Context, node string, o migrate.Options) (migrate.Status, error) {
	before, _ := c.Migration(ctx) // an error shows again with the next request
	st, err := c.callMigrationNode(ctx, node, verbMigrateStart, o)
	st, err = c.readBackMigration(ctx, st, err, func(now migrate.Status) bool {
		return now.Node == node && (now.Running || now.Updated != before.Updated)
	})
	if err == nil {
		c.mu.Lock()
		c.dryRunNode = ""
		if o.DryRun {
			c.dryRunNode = node
		}
		c.mu.Unlock()
	}
	return st, err
}

// MigratePause holds the copy between two batches.
func (c *Client) MigratePause(ctx context.Context, node string) (migrate.Status, error) {
	st, err := c.callMigrationNode(ctx, node, verbMigratePause, nil)
	return c.readBackMigration(ctx, st, err, func(st migrate.Status) bool {
		return st.Paused
	})
}

// MigrateResume lets a held copy go on.
func (c *Client) MigrateResume(ctx context.Context, node string) (migrate.Status, error) {
	st, err := c.callMigrationNode(ctx, node, verbMigrateResume, nil)
	return c.readBackMigration(ctx, st, err, func(st migrate.Status) bool {
		return st.Running && !st.Paused
	})
}

// MigrateAbort restores what was, before cutover. KindRefused after it.
func (c *Client) MigrateAbort(ctx context.Context, node string) (migrate.Status, error) {
	st, err := c.callMigrationNode(ctx, node, verbMigrateAbort, nil)
	return c.readBackMigration(ctx, st, err, func(st migrate.Status) bool {
		return st.Aborting != "" || st.State == migrate.StateAborted
	})
}

// MigrateCutover fences the source and moves the authority. KindRefused before every bucket was verified.
func (c *Client) MigrateCutover(ctx context.Context, node string) (migrate.Status, error) {
	st, err := c.callMigrationNode(ctx, node, verbMigrateCutover, nil)
	return c.readBackMigration(ctx, st, err, func(st migrate.Status) bool {
		return slices.Contains([]migrate.State{migrate.StateFence, migrate.StateCutover, migrate.StateSoak, migrate.StateDone}, st.State)
	})
}

// MigrateFinish ends the soak: the SQLite file is kept, read-only.
func (c *Client) MigrateFinish(ctx context.Context, node string) (migrate.Status, error) {
	st, err := c.callMigrationNode(ctx, node, verbMigrateFinish, nil)
	return c.readBackMigration(ctx, st, err, func(st migrate.Status) bool {
		return st.State == migrate.StateDone
	})
}

// MigrateLimit sets how many rows a second the copy writes at the most; 0 takes the limit away.
func (c *Client) MigrateLimit(ctx context.Context, node string, rate int) (migrate.Status, error) {
	st, err := c.callMigrationNode(ctx, node, verbMigrateLimit, limitRequest{Rate: rate})
	return c.readBackMigration(ctx, st, err, func(st migrate.Status) bool {
		return st.Options.Rate == rate
	})
}

// MigrateRollback brings the control plane back to a new SQLite file. KindRefused but in soak.
func (c *Client) MigrateRollback(ctx context.Context, node string) (migrate.Status, error) {
	st, err := c.callMigrationNode(ctx, node, verbMigrateRollback, nil)
	return c.readBackMigration(ctx, st, err, func(st migrate.Status) bool {
		return st.State == migrate.StateRollback || st.State == migrate.StateRolledBack
	})
}
