package node

import (
	"context"
	"errors"
	"path/filepath"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// openDesk is where backups are made and handed out. Its files lie apart from those that a move keeps.
func (n *Node) openDesk(ctx context.Context) error {
	n.desk = backup.NewDesk(backup.DeskConfig{
		Sign: n.clusterKey, Node: n.cfg.Name, Dir: filepath.Join(n.cfg.Data, "handing-out"),
		Make: n.plane.backup, Need: n.plane.backupSize, Free: freeBytes,
	})
	return n.desk.Open(ctx)
}

func (n *Node) closeDesk(context.Context) error { return n.desk.Close() }

// exportSchema is the version of the files that createFile makes.
const exportSchema = 2

// backup writes what this node serves to a new file: the buckets as they count,
// or the SQLite file as it is.
func (p *plane) backup(ctx context.Context, path string, rows func(int)) (core.Backup, error) {
	s, err := p.n.holder.Store()
	if err != nil {
		return core.Backup{}, err
	}
	if db, ok := s.(*sqlite.Store); ok {
		return backupFile(ctx, db, path)
	}
	from, ok := s.(migrate.Exporter)
	if !ok {
		return core.Backup{}, core.Errorf(core.KindFailed, "%s cannot be written to a file", s.Backend())
	}
	x := migrate.Export{From: from, Create: createFile, Open: openCopy, Rows: func(_ core.Table, n int) { rows(n) }}
	b, sums, err := x.Run(ctx, path)
	if err != nil {
		return core.Backup{}, err
	}
	out := core.Backup{Backend: core.BackendKV, Schema: exportSchema, Bytes: b.Bytes, SHA256: b.SHA256}
	for _, t := range backup.Tables() {
		out.Tables = append(out.Tables, core.BackupTable{Table: t, Digest: sums[t]})
	}
	return out, nil
}

// signedBackup is the copy of the file that a move takes. What a failure leaves of it the move removes.
func (p *plane) signedBackup(ctx context.Context, path string) (sqlite.BackupInfo, error) {
	b, err := p.db().Backup(ctx, path)
	if err != nil {
		return b, err
	}
	return backup.Sign(ctx, p.n.clusterKey, p.n.cfg.Name, b.Path)
}

func backupFile(ctx context.Context, db *sqlite.Store, path string) (core.Backup, error) {
	b, err := db.Backup(ctx, path)
	if err != nil {
		return core.Backup{}, err
	}
	content, err := backup.Check(ctx, path)
	switch core.KindOf(err) {
	case "":
		return core.Backup{Backend: core.BackendSQLite, Schema: content.Schema, Bytes: b.Bytes, SHA256: b.SHA256, Tables: content.Tables}, nil
	case core.KindRefused: // the copy is of the moment of a fence
		err = core.Errorf(core.KindUnavailable, "the control plane is moving, and its file takes no changes just now").
			WithNext("try again in a minute")
	case core.KindInvalid:
		err = core.Errorf(core.KindInvalid, "%s cannot be restored from a backup as it is: %w", db.Path(), err).WithNext("%s", core.AsError(err).Next)
	}
	return core.Backup{}, errors.Join(err, migrate.RemoveSQLiteFile(path))
}

// backupSize is what a backup and its making may take on this node's disk.
func (p *plane) backupSize(ctx context.Context) (int64, error) {
	if p.serving().Backend == core.BackendSQLite && p.db() != nil {
		return 2 * p.db().Size(), nil
	}
	return 2 * p.bucketBytes(ctx), nil
}

// bucketBytes is what one replica of the buckets takes.
func (p *plane) bucketBytes(ctx context.Context) (size int64) {
	for _, b := range p.n.observer.Fresh(ctx).Buckets {
		size += b.Bytes
	}
	return size
}

// BucketBytes implements migrate.Target.
func (t moveTarget) BucketBytes(ctx context.Context) (int64, error) {
	return t.plane.bucketBytes(ctx), nil
}
