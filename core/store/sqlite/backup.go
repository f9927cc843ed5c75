package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"unibus/core"
)

// BackupInfo is a backup that is on disk.
type BackupInfo struct {
	Path   string `json:"path"`   // absolute
	SHA256 string `json:"sha256"` // of the file's bytes, in hex
	Bytes  int64  `json:"bytes"`
}

// Backup writes a consistent copy of the file while writers go on. Only its owner
// may read it, and it is on disk when Backup returns. An existing target is
// refused with KindExists, and a copy that fails is removed. ctx alone bounds it.
func (s *Store) Backup(ctx context.Context, path string) (BackupInfo, error) {
	if !s.open.Load() {
		return BackupInfo{}, s.closed()
	}
	target, err := filepath.Abs(path)
	if err != nil || path == "" {
		return BackupInfo{}, core.Errorf(core.KindInvalid, "%q is not a path for a backup", path)
	}
	if err := createTarget(target); err != nil {
		return BackupInfo{}, err
	}
	info, err := s.copyTo(ctx, target)
	if err != nil {
		_ = os.Remove(target)
		return BackupInfo{}, err
	}
	return info, nil
}

// createTarget makes the file before SQLite would make it readable by others.
func createTarget(target string) error {
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		return core.Errorf(core.KindExists, "the file %s is there already and is not overwritten", target).
			WithNext("give another name")
	}
	return fileFailed(target, err)
}

func (s *Store) copyTo(ctx context.Context, target string) (BackupInfo, error) {
	if err := s.view(ctx, 0, func(context.Context, *sql.Tx) error { return nil }); err != nil { // VACUUM runs what the schema says
		return BackupInfo{}, err
	}
	if err := s.vacuumInto(ctx, target); err != nil {
		return BackupInfo{}, s.explain(ctx, err)
	}
	if err := s.forgetChanges(ctx, target); err != nil {
		return BackupInfo{}, err
	}
	info, err := settleFile(target)
	return info, fileFailed(target, err)
}

// vacuumInto uses a connection of its own: VACUUM runs outside transactions, and the
// writers of this process go on. Of a file that was removed, only a connection from
// before still has the content.
func (s *Store) vacuumInto(ctx context.Context, target string) error {
	db := s.read
	if s.checkPlace() == nil {
		db = sqlOpen(s.dsn())
		defer func() { _ = db.Close() }()
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "PRAGMA query_only=0"); err != nil { // it counts for the target too
		return err
	}
	_, err = conn.ExecContext(ctx, "VACUUM INTO ?", target)
	_, again := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA query_only=1")
	return errors.Join(err, again)
}

// forgetChanges removes the log of changes from a copy. Everything else in its
// schema must be ours.
func (s *Store) forgetChanges(ctx context.Context, target string) error {
	c := New(Config{Path: target, AllowFenced: true})
	db := sqlOpen(c.dsn())
	defer func() { _ = db.Close() }()
	return s.runTransaction(ctx, 0, db, func(ctx context.Context, tx *sql.Tx) error {
		if err := untrackIn(ctx, tx); err != nil {
			return err
		}
		return c.verify(ctx, tx)
	})
}

// settleFile syncs the file and its directory's entry, and computes its digest.
func settleFile(target string) (BackupInfo, error) {
	f, err := os.OpenFile(target, os.O_RDWR, 0)
	if err != nil {
		return BackupInfo{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	err = errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(target)))
	return BackupInfo{Path: target, SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: n}, err
}

func fileFailed(target string, err error) error {
	if err == nil {
		return nil
	}
	return core.Errorf(core.KindFailed, "the file %s could not be written: %w", target, err).
		WithNext("check that its directory exists, is yours and has free space")
}
