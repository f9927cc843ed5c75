package admin

import (
	"context"
	"fmt"

	"unibus/core"
	"unibus/core/cluster"
)

// backupRequest asks for a backup of what the answering node serves. The token is
// the caller's own, 32 to 64 of A-Za-z0-9 that cannot be guessed. The same caller
// asks for the parts with it.
type backupRequest struct {
	Token string `json:"token"`
}

// backupServer makes backups of what this node serves and hands them out in parts;
// *backup.Server is one.
type backupServer interface {
	// Create makes the file. KindUnavailable where too many are under way.
	Create(ctx context.Context, by core.Operator, token string) (core.Backup, error)
	// Part reads from it. KindNotFound where the caller has none of that token.
	Part(ctx context.Context, by core.Operator, req core.BackupPartRequest) (core.BackupPart, error)
}

// backupSchedule has the nodes make a scheduled backup at once.
type backupSchedule interface {
	// Request returns the moment: a backup or a failure that is not older answers it.
	// KindRefused where no node has a schedule.
	Request(ctx context.Context, by core.Operator) (core.Millis, error)
}

// BackupRequested is when a scheduled backup was asked for. The result is in the
// status: see RequestedBackup.
type BackupRequested struct {
	At core.Millis `json:"at"`
}

func (s *Service) backupNow(ctx context.Context, op core.Operator, _ []byte) (any, error) {
	at, err := s.cfg.Schedule.Request(ctx, op)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "asked for the scheduled backup at once")
	return BackupRequested{at}, nil
}

// BackupNow has the nodes make the scheduled backup at once, and does not wait for it.
func (c *Client) BackupNow(ctx context.Context) (BackupRequested, error) {
	return call[BackupRequested](ctx, c, TargetAny, verbBackupNow, nil)
}

// RequestedBackup is what came of a request: a backup, an error, or neither yet.
func RequestedBackup(v cluster.View, r BackupRequested) (core.ScheduledBackup, bool, error) {
	if v.Backups == nil {
		return core.ScheduledBackup{}, false, nil
	}
	if last, ok := v.Backups.Last(); ok && last.Rehearsed >= r.At {
		return last, true, nil
	}
	if f := v.Backups.Failure; f != nil && f.At >= r.At {
		return core.ScheduledBackup{}, false, core.Errorf(core.KindFailed, "the backup failed on %s: %s", f.Node, f.Text).WithNext("%s", f.Next)
	}
	return core.ScheduledBackup{}, false, nil
}

func (s *Service) backup(ctx context.Context, op core.Operator, req backupRequest) (any, error) {
	b, err := s.cfg.Backups.Create(ctx, op, req.Token)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("took a backup of the control plane from %s (%d bytes)", s.cfg.Node, b.Bytes))
	return b, nil
}

func (s *Service) backupPart(ctx context.Context, op core.Operator, req core.BackupPartRequest) (any, error) {
	return s.cfg.Backups.Part(ctx, op, req)
}

// BackupNode is the node to ask for a backup: the one that is connected, or else one
// that serves the control plane. KindUnavailable where none does.
func (c *Client) BackupNode(ctx context.Context) (string, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	return servingNode(st.View)
}

func servingNode(v cluster.View) (string, error) {
	if v.Serving.Backend != core.BackendNone {
		return v.From, nil
	}
	for _, n := range v.Nodes {
		if n.Reachable() && n.Info != nil && n.Info.Serving.Backend != core.BackendNone {
			return n.Name, nil
		}
	}
	return "", core.Errorf(core.KindUnavailable, "no node that can be reached serves the control plane: %s", v.Serving.Reason).
		WithNext("`unibus-tui status` says why; a node that is down has its SQLite file or its replica on disk")
}

// BackupCreate has a node make a backup, which may take minutes. The token is the
// caller's own, and names the backup.
func (c *Client) BackupCreate(ctx context.Context, node, token string) (core.Backup, error) {
	return call[core.Backup](ctx, c, TargetNode(node), verbBackup, backupRequest{Token: token})
}

// BackupPart asks the node that made it. KindNotFound where it has forgotten it.
func (c *Client) BackupPart(ctx context.Context, node string, req core.BackupPartRequest) (core.BackupPart, error) {
	return call[core.BackupPart](ctx, c, TargetNode(node), verbBackupPart, req)
}
