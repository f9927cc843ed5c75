package admin

import (
	"context"
	"fmt"

	"unibus/core"
	"unibus/core/cluster"
)

// PartBytes is how much of a backup one answer carries at the most: as JSON well
// below the payload limit of 1 MiB.
const PartBytes = 512 << 10

// BackupRequest asks for a backup of what the answering node serves. The token
// is the caller's own, 32 to 64 of A-Za-z0-9 that nobody can guess; the parts
// are asked for with it, by the same caller.
type BackupRequest struct {
	Token string `json:"token"`
}

// BackupTable is one table of a backup, with the digest that it has in the bucket.
type BackupTable struct {
	Table core.Table `json:"table"`
	core.Digest
}

// Backup is a whole control plane as one SQLite file, which the node keeps until
// it was fetched.
type Backup struct {
	Node    string        `json:"node"`
	Backend core.Backend  `json:"backend"` // what it was taken from
	Schema  int           `json:"schema"`
	Bytes   int64         `json:"bytes"`
	SHA256  string        `json:"sha256"` // of the file's bytes, in hex
	Tables  []BackupTable `json:"tables"`
}

// BackupPartRequest asks for the part of a backup at an offset in bytes.
type BackupPartRequest struct {
	Token  string `json:"token"`
	Offset int64  `json:"offset,omitempty"`
	Look   bool   `json:"look,omitempty"` // only how far it is
	End    bool   `json:"end,omitempty"`  // the caller has it, or gives it up: the node forgets it
}

// BackupPart is at most PartBytes of the file.
type BackupPart struct {
	Data []byte `json:"data,omitempty"`
	Rows int    `json:"rows,omitempty"` // written so far, while it is being made
}

// Backups takes backups of what this node serves and hands them out in parts.
type Backups interface {
	// Take makes the file. KindUnavailable where too many are under way.
	Take(ctx context.Context, by core.Operator, req BackupRequest) (Backup, error)
	// Part reads from it. KindNotFound where the caller has none of that token.
	Part(ctx context.Context, by core.Operator, req BackupPartRequest) (BackupPart, error)
}

func (s *Service) backup(ctx context.Context, op core.Operator, req BackupRequest) (any, error) {
	b, err := s.cfg.Backups.Take(ctx, op, req)
	if err != nil {
		return nil, err
	}
	s.cfg.Eyes.Note(cluster.Note, op.Name, fmt.Sprintf("took a backup of the control plane from %s (%d bytes)", s.cfg.Node, b.Bytes))
	return b, nil
}

func (s *Service) backupPart(ctx context.Context, op core.Operator, req BackupPartRequest) (any, error) {
	return s.cfg.Backups.Part(ctx, op, req)
}

// BackupTake has a node make a backup, which may take minutes.
func (c *Client) BackupTake(ctx context.Context, node string, req BackupRequest) (Backup, error) {
	return call[Backup](ctx, c, TargetNode(node), VerbBackup, req)
}

// BackupPart asks the node that made it. KindNotFound where it has forgotten it.
func (c *Client) BackupPart(ctx context.Context, node string, req BackupPartRequest) (BackupPart, error) {
	return call[BackupPart](ctx, c, TargetNode(node), VerbBackupPart, req)
}
