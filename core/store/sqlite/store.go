package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"unibus/core"
)

// Config says which file and how.
type Config struct {
	Path        string        // the database file
	Create      bool          // make a missing or zero-length file; otherwise it is refused
	ReadOnly    bool          // never write to the file; every change gives KindRefused
	Backup      bool          // the file is a backup: only read; it may be signed, and no migration has ever touched it
	AllowFenced bool          // open a file that is fenced too: for the migration's own use
	Timeout     time.Duration // of one operation, 0: 5 s; of a whole Export or Import, 12 times that
}

const (
	defaultTimeout = 5 * time.Second
	wholeFactor    = 12 // Export and Import touch every row
)

// Store is a core.Store on one SQLite file. It is safe for concurrent use.
type Store struct {
	cfg        Config
	path       string                 // absolute, symlinks resolved, once open
	fileLayout atomic.Pointer[layout] // of the file's version, without the fence; nil before Open
	read       *sql.DB
	write      *sql.DB // one connection, so that writers of this process queue here; nil when read-only
	open       atomic.Bool
	files      openFiles

	readersLimited atomic.Bool  // the file is not in its place: no further connection opens
	staged         stagedRekeys // boxes of rekeys that are not committed

	userIndex indexCache[core.UserIndex]
	roomIndex indexCache[core.RoomIndex]
	members   memberCache

	compared atomic.Int64 // 1 + the number of the schema that was compared with ours; 0: none
	making   bool         // a Writer makes the file: it has no version before it is finished
}

var _ core.Store = (*Store)(nil)

// New makes a closed store; Open does the work.
func New(cfg Config) *Store {
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.ReadOnly = cfg.ReadOnly || cfg.Backup
	return &Store{cfg: cfg, path: cfg.Path}
}

// layout is that of the file; before Open it is empty.
func (s *Store) layout() layout {
	if l := s.fileLayout.Load(); l != nil {
		return *l
	}
	return layout{}
}

// Backend is BackendSQLite.
func (s *Store) Backend() core.Backend { return core.BackendSQLite }

// Path is the file's absolute path with symlinks resolved; before Open it is what was configured.
func (s *Store) Path() string { return s.path }

// SchemaVersion is the version of the file's schema without the fence; 0 before Open.
func (s *Store) SchemaVersion() int { return s.layout().version }

// Size is how many bytes the file and its write-ahead log take; 0 where they
// cannot be read.
func (s *Store) Size() int64 {
	var n int64
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// Close closes the file. Twice is harmless; later calls give KindUnavailable.
func (s *Store) Close() error {
	if !s.open.Swap(false) {
		return nil
	}
	s.files.forget()
	err := s.read.Close()
	if s.write != nil {
		err = errors.Join(err, s.write.Close()) // last, so that the log is folded into the file
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "closing the database %s: %s", s.path, err.Error())
	}
	return nil
}

// view runs f in a read transaction: everything f reads is of one moment, and of a
// schema that is ours.
func (s *Store) view(ctx context.Context, limit time.Duration, f func(context.Context, *sql.Tx) error) error {
	return s.viewAnySchema(ctx, limit, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.checkSchema(ctx, tx); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// viewAnySchema is view without the check of the schema.
func (s *Store) viewAnySchema(ctx context.Context, limit time.Duration, f func(context.Context, *sql.Tx) error) error {
	if !s.open.Load() {
		return s.closed()
	}
	_ = s.checkPlace() // it bounds the readers of a file that is not in its place; they go on
	return s.runTransaction(ctx, limit, s.read, f)
}

// update runs f in a write transaction, once it is sure that the file is not
// fenced and its schema is ours.
func (s *Store) update(ctx context.Context, limit time.Duration, f func(context.Context, *sql.Tx) error) error {
	return s.updateAnySchema(ctx, limit, func(ctx context.Context, tx *sql.Tx) error {
		version, err := pragmaInt(ctx, tx, "user_version")
		if err != nil {
			return err
		}
		if version >= fenceStep {
			return errMigrating()
		}
		if err := s.checkSchema(ctx, tx); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// updateAnySchema is update without the check of fence and schema.
func (s *Store) updateAnySchema(ctx context.Context, limit time.Duration, f func(context.Context, *sql.Tx) error) error {
	switch {
	case !s.open.Load():
		return s.closed()
	case s.write == nil:
		return core.Errorf(core.KindRefused, "the database %s was opened for reading alone", s.path)
	}
	err := s.runTransaction(ctx, limit, s.write, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.checkPlace(); err != nil {
			return err
		}
		if err := f(ctx, tx); err != nil {
			return err
		}
		return s.checkPlace()
	})
	if err != nil {
		return err
	}
	return s.checkPlace() // or the change went into a file that was removed during the commit
}

// runTransaction runs f in a transaction, and again while another process holds
// the file. SQLite's own wait is short (busyWait) because it does not see ctx.
// Without a limit ctx alone bounds f, and the waiting is bounded all the same.
func (s *Store) runTransaction(ctx context.Context, limit time.Duration, db *sql.DB, f func(context.Context, *sql.Tx) error) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	patience := time.Now().Add(cmp.Or(limit, s.cfg.Timeout))
	var busy error // what the tries before said: the end of the time is then no news
	for {
		err := s.runOnce(ctx, db, f)
		if isBusy(err) {
			busy = err
		} else if busy != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = busy
		}
		if err == nil || !isBusy(err) || ctx.Err() != nil || time.Now().After(patience) {
			return s.explain(ctx, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond): // some refusals come at once
		}
	}
}

func (s *Store) runOnce(ctx context.Context, db *sql.DB, f func(context.Context, *sql.Tx) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it returns to its pool
	if err := limit(conn); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if db == s.write {
		if err := s.noteWriter(conn); err != nil {
			return err
		}
	}
	if err := f(withConnection(ctx, conn), tx); err != nil {
		return err
	}
	err = tx.Commit()
	if db == s.write && !isBusy(err) { // a busy file was left as it was
		core.WriteSent(ctx)
	}
	return err
}
