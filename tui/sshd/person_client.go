package sshd

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
)

// personClient is the client of one session. It says who looks, and refuses every act: the nodes would, too,
// because the server's own identity is a viewer's.
type personClient struct {
	*sharedClient
	operator core.Operator
}

// Status returns the status, with the person as the operator.
func (p *personClient) Status(ctx context.Context) (admin.Status, error) {
	st, err := p.sharedClient.Status(ctx)
	st.Operator = p.operator
	return st, err
}

// StatusOf returns the status as a node sees it, with the person as the operator.
func (p *personClient) StatusOf(ctx context.Context, node string) (admin.Status, error) {
	st, err := p.sharedClient.StatusOf(ctx, node)
	st.Operator = p.operator
	return st, err
}

// refuse is the answer to every act.
func refuse[T any](act string) (T, error) {
	var none T
	return none, core.Errorf(core.KindRefused, "%s was not done: the console over SSH only reads", act).WithOutcome(core.OutcomeNone).
		WithNext("run the command where your key is: the dialog shows it")
}

// UserAdd is refused.
func (*personClient) UserAdd(context.Context, core.User) (core.User, error) {
	return refuse[core.User]("user add")
}

// Revoke is refused.
func (*personClient) Revoke(context.Context, string) (admin.Revoked, error) {
	return refuse[admin.Revoked]("revoke")
}

// UserActivate is refused.
func (*personClient) UserActivate(context.Context, string) (core.User, error) {
	return refuse[core.User]("user activate")
}

// UserExtend is refused.
func (*personClient) UserExtend(context.Context, string, core.Millis) (core.User, error) {
	return refuse[core.User]("user extend")
}

// UserReplace is refused.
func (*personClient) UserReplace(context.Context, string, string) (admin.Replaced, error) {
	return refuse[admin.Replaced]("user replace")
}

// SessionEnd is refused.
func (*personClient) SessionEnd(context.Context, string) (admin.SessionsEnded, error) {
	return refuse[admin.SessionsEnded]("session end")
}

// SessionEndAll is refused.
func (*personClient) SessionEndAll(context.Context, string) (admin.SessionsEnded, error) {
	return refuse[admin.SessionsEnded]("session end all")
}

// RoomRekey is refused.
func (*personClient) RoomRekey(context.Context, admin.RekeyRequest) (admin.Asked, error) {
	return refuse[admin.Asked]("room rekey")
}

// BucketScale is refused.
func (*personClient) BucketScale(context.Context, int) (admin.Done, error) {
	return refuse[admin.Done]("bucket scale")
}

// BackupNow is refused.
func (*personClient) BackupNow(context.Context) (admin.BackupRequested, error) {
	return refuse[admin.BackupRequested]("backup now")
}

// StepDown is refused.
func (*personClient) StepDown(context.Context, string, string) (admin.Done, error) {
	return refuse[admin.Done]("step down")
}

// NodeAdd is refused.
func (*personClient) NodeAdd(context.Context, string) (admin.NodeChanged, error) {
	return refuse[admin.NodeChanged]("node add")
}

// NodeRemove is refused.
func (*personClient) NodeRemove(context.Context, string) (admin.NodeChanged, error) {
	return refuse[admin.NodeChanged]("node remove")
}

// NodeFence is refused.
func (*personClient) NodeFence(context.Context, string) (admin.NodeChanged, error) {
	return refuse[admin.NodeChanged]("node fence")
}

// NodeRescue is refused.
func (*personClient) NodeRescue(context.Context, int) (admin.Rescued, error) {
	return refuse[admin.Rescued]("node rescue")
}

// NodeDrain is refused.
func (*personClient) NodeDrain(context.Context, string, time.Duration) (admin.NodeDrained, error) {
	return refuse[admin.NodeDrained]("node drain")
}

// NodeResume is refused.
func (*personClient) NodeResume(context.Context, string) (admin.NodeDrained, error) {
	return refuse[admin.NodeDrained]("node resume")
}

// MigrateStart is refused.
func (*personClient) MigrateStart(context.Context, string, migrate.Options) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate start")
}

// MigratePause is refused.
func (*personClient) MigratePause(context.Context, string) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate pause")
}

// MigrateResume is refused.
func (*personClient) MigrateResume(context.Context, string) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate resume")
}

// MigrateAbort is refused.
func (*personClient) MigrateAbort(context.Context, string) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate abort")
}

// MigrateCutover is refused.
func (*personClient) MigrateCutover(context.Context, string) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate cutover")
}

// MigrateLimit is refused.
func (*personClient) MigrateLimit(context.Context, string, int) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate limit")
}

// MigrateRollback is refused.
func (*personClient) MigrateRollback(context.Context, string) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate rollback")
}

// MigrateFinish is refused.
func (*personClient) MigrateFinish(context.Context, string) (migrate.Status, error) {
	return refuse[migrate.Status]("migrate finish")
}
