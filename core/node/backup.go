package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// openBackups begins to make backups and hand them out. Its directory is not the one of the
// copies that a migration keeps.
func (n *Node) openBackups(ctx context.Context) error {
	n.backups = backup.NewServer(backup.ServerConfig{
		Sign: n.clusterKey, Node: n.cfg.Name, Dir: filepath.Join(n.cfg.Data, "handing-out"),
		Make: n.backup, Need: n.backupSize, Free: freeBytes,
	})
	return n.backups.Open(ctx)
}

func (n *Node) closeBackups(context.Context) error { return n.backups.Close() }

// backup writes the store that this node serves to a new file: the rows of the buckets, or
// the SQLite file as it is.
func (n *Node) backup(ctx context.Context, path string, rows func(int)) (core.Backup, error) {
	return n.makeBackup(ctx, path, rows, openCopy)
}

// backupToRehearse is backup without reading the file back: its rehearsal restores it, and compares
// every row with the digests.
func (n *Node) backupToRehearse(ctx context.Context, path string, rows func(int)) (core.Backup, error) {
	return n.makeBackup(ctx, path, rows, nil)
}

func (n *Node) makeBackup(ctx context.Context, path string, rows func(int), readBack func(context.Context, string) (migrate.BackupReader, error)) (core.Backup, error) {
	s, err := n.storeHandle.Store()
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
	var made *sqlite.Writer
	create := func(ctx context.Context, path string) (_ migrate.FileWriter, err error) {
		made, err = sqlite.Create(ctx, path)
		return newFile{made}, err
	}
	x := migrate.Export{From: from, Create: create, Open: readBack, Rows: func(_ core.Table, n int) { rows(n) }}
	b, sums, err := x.Run(ctx, path)
	if err != nil {
		return core.Backup{}, err
	}
	out := core.Backup{Backend: core.BackendKV, Schema: made.SchemaVersion(), Bytes: b.Bytes, SHA256: b.SHA256}
	for _, t := range backup.Tables() {
		out.Tables = append(out.Tables, core.BackupTable{Table: t, Digest: sums[t]})
	}
	return out, nil
}

// signedBackup is the copy of the file that a migration makes. The migration removes what a
// failure leaves.
func (n *Node) signedBackup(ctx context.Context, path string) (sqlite.BackupInfo, error) {
	begun := time.Now()
	b, err := n.selector.file().Backup(ctx, path)
	if err != nil {
		return b, err
	}
	return backup.Sign(ctx, n.clusterKey, n.cfg.Name, b.Path, begun)
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
	case core.KindRefused: // the copy was made during a fence
		err = core.Errorf(core.KindUnavailable, "the control plane is moving, and its file is fenced meanwhile").
			WithNext("try again in a minute")
	case core.KindInvalid:
		err = core.Errorf(core.KindInvalid, "%s cannot be restored from a backup as it is: %w", db.Path(), err).WithNext("%s", core.AsError(err).Next)
	}
	return core.Backup{}, errors.Join(err, migrate.RemoveSQLiteFile(path))
}

// backupSize is how much of this node's disk a backup may take while it is made.
func (n *Node) backupSize(ctx context.Context) (int64, error) {
	if n.selector.serving().Backend == core.BackendSQLite && n.selector.file() != nil {
		return 2 * n.selector.file().Size(), nil
	}
	return 2 * n.bucketBytes(ctx), nil
}

// bucketBytes is the size of one replica of the buckets.
func (n *Node) bucketBytes(ctx context.Context) (size int64) {
	for _, b := range n.observer.Fresh(ctx).Buckets {
		size += b.Bytes
	}
	return size
}

// BucketBytes implements migrate.Target.
func (t *migrationTarget) BucketBytes(ctx context.Context) (int64, error) {
	return t.n.bucketBytes(ctx), nil
}
