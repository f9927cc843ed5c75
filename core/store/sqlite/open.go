package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"unibus/core"
)

// busyWait is how long SQLite itself waits for another process, in milliseconds;
// runTransaction tries again until the operation's timeout.
const busyWait = 200

// Open finds, checks and opens the file; nothing is changed in one that is refused.
//
// KindNotFound: no file, and Create is false. KindInvalid: not a SQLite file, another program's,
// another schema version, a directory. KindRefused: permissions, or fenced. KindFailed: damaged.
func (s *Store) Open(ctx context.Context) error {
	if s.open.Load() {
		return core.Errorf(core.KindFailed, "the database %s is open already", s.path)
	}
	s.read, s.write = nil, nil
	s.compared.Store(0)
	if err := s.resolve(); err != nil {
		return err
	}
	fresh, err := s.examine()
	if err != nil {
		return err
	}
	if err := s.refuseJournal(); err != nil {
		return err
	}
	if err := s.initializeOrVerify(ctx, fresh); err != nil {
		return err
	}
	s.read = sqlOpen(s.dsn("query_only(1)"))
	s.read.SetMaxIdleConns(4)
	if s.cfg.ReadOnly {
		s.open.Store(true)
		return nil
	}
	dsn := s.dsn("journal_mode(WAL)", "foreign_keys(1)", "synchronous(FULL)")
	s.write = sqlOpen(dsn + "&_txlock=immediate")
	s.write.SetMaxOpenConns(1)
	s.open.Store(true)
	return s.enableWAL(ctx)
}

// enableWAL makes the first writing connection, which turns on the write-ahead
// log, and the first reading one, which stays if the file is removed.
func (s *Store) enableWAL(ctx context.Context) error {
	err := s.updateAnySchema(ctx, s.cfg.Timeout, func(context.Context, *sql.Tx) error { return nil })
	if err == nil {
		err = s.viewAnySchema(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
			_, err := pragmaInt(ctx, tx, "user_version")
			return err
		})
	}
	if err != nil {
		_ = s.Close()
	}
	return err
}

// resolve makes the path absolute. For a file that is yet to be made, the
// directory is resolved.
func (s *Store) resolve() error {
	abs, err := filepath.Abs(s.cfg.Path)
	if err != nil || s.cfg.Path == "" {
		return core.Errorf(core.KindInvalid, "%q is not a path to a database", s.cfg.Path)
	}
	s.path = abs
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if err != nil {
			return s.fileError(err)
		}
		s.path = filepath.Join(dir, filepath.Base(abs))
		return nil
	}
	if err != nil {
		return s.fileError(err)
	}
	s.path = real
	return nil
}

// CheckFile is what a node that starts checks of a file that is there, before it opens it.
func CheckFile(path string) error {
	_, err := New(Config{Path: path}).examine()
	return err
}

// examine looks at the file without SQLite, whose messages would not say what is
// wrong. fresh is true where the file is empty and to be initialized.
func (s *Store) examine() (fresh bool, err error) {
	info, err := os.Stat(s.path)
	create := s.cfg.Create && !s.cfg.ReadOnly
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		return true, s.createEmpty()
	case err != nil:
		return false, s.fileError(err)
	case info.IsDir():
		return false, core.Errorf(core.KindInvalid, "%s is a directory, not a database", s.path).
			WithNext("give the file in it, for example %s", filepath.Join(s.path, "unibus.db"))
	case !info.Mode().IsRegular():
		return false, core.Errorf(core.KindInvalid, "%s is not a regular file", s.path)
	}
	if err := s.checkAccess(); err != nil {
		return false, err
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o400 == 0 || !s.cfg.ReadOnly && mode&0o200 == 0: // its owner protected it, also against root
		return false, core.Errorf(core.KindRefused, "the permissions of the database %s, %04o, do not let this process use it", s.path, mode).
			WithNext("allow it: chmod 600 %s", core.ShellQuote(s.path))
	case info.Size() > 0:
		return false, s.examineHeader(info.Size())
	case create && s.waitFilled(time.Now().Add(creationWait)):
		return s.examine()
	}
	return false, core.Errorf(core.KindInvalid, "the database %s is empty: zero bytes", s.path).
		WithNext("put a backup in its place, or remove it and let `unibusd serve` make a new one")
}

// creationWait is how long another process may take from making the file to
// filling it.
const creationWait = 2 * time.Second

// waitFilled waits for a process that has just made the file. An empty file that
// no process fills was a database once, and is not silently made a new one.
func (s *Store) waitFilled(end time.Time) bool {
	for time.Now().Before(end) {
		if info, err := os.Stat(s.path); err == nil && info.Size() > 0 {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// createEmpty makes the file before SQLite does, which would make it readable
// by others. Another process may make it at the same moment; both then fill it,
// one after the other, and the second finds it filled.
func (s *Store) createEmpty() error {
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return s.fileError(err)
	}
	return s.fileErrorOrNil(errors.Join(f.Close(), syncDir(filepath.Dir(s.path))))
}

const (
	headerLen   = 100
	headerMagic = "SQLite format 3\x00"
)

// examineHeader tells a file that is not SQLite's from one that was cut short.
func (s *Store) examineHeader(size int64) error {
	f, err := os.Open(s.path)
	if err != nil {
		return s.fileError(err)
	}
	defer func() { _ = f.Close() }()
	header, err := io.ReadAll(io.LimitReader(f, headerLen))
	if err != nil {
		return s.fileError(err)
	}
	if n := min(len(header), len(headerMagic)); !bytes.Equal(header[:n], []byte(headerMagic[:n])) {
		return core.Errorf(core.KindInvalid, "%s is not a SQLite database", s.path).
			WithNext("give the file that unibusd serves: its --db")
	}
	if len(header) < headerLen {
		return s.truncated(size, headerLen)
	}
	pageSize := int64(binary.BigEndian.Uint16(header[16:]))
	if pageSize == 1 { // the format's encoding of 65,536
		pageSize = 1 << 16
	}
	want := pageSize * int64(binary.BigEndian.Uint32(header[28:]))
	if size >= want || s.hasLog() {
		return nil
	}
	// Another process may just have finished what it was writing.
	info, err := f.Stat()
	if err != nil {
		return s.fileError(err)
	}
	if info.Size() < want {
		return s.truncated(info.Size(), want)
	}
	return nil
}

// hasLog is true where a write-ahead log may hold pages that the file lacks, or
// a journal says that they are being written.
func (s *Store) hasLog() bool {
	for _, log := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(s.path + log); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// refuseJournal refuses a backup with a journal beside it: SQLite would write old
// pages over the file's, and its checksums do not prove that both belong together.
func (s *Store) refuseJournal() error {
	info, err := os.Stat(s.path + "-journal")
	if !s.cfg.Backup || err != nil || info.Size() == 0 {
		return nil
	}
	return core.Errorf(core.KindInvalid, "%s has a journal beside it, %s-journal: a change of it was cut short, and it is not whole", s.path, s.path).
		WithNext("give a file that `unibusd backup` has written")
}

func (s *Store) truncated(size, want int64) error {
	return core.Errorf(core.KindFailed, "the database %s is truncated: it has %d bytes of at least %d", s.path, size, want).
		WithNext("keep the file, and put a backup in its place")
}

// initializeOrVerify initializes a fresh file and verifies every other, over a
// connection that leaves the file's journal mode alone.
func (s *Store) initializeOrVerify(ctx context.Context, fresh bool) error {
	db := sqlOpen(s.dsn() + "&_txlock=" + map[bool]string{true: "immediate", false: "deferred"}[fresh])
	defer func() { _ = db.Close() }()
	return s.runTransaction(ctx, wholeFactor*s.cfg.Timeout, db, func(ctx context.Context, tx *sql.Tx) error {
		if fresh {
			if err := initialize(ctx, tx); err != nil {
				return err
			}
		}
		if err := s.verify(ctx, tx); err != nil {
			return err
		}
		return s.checkPages(ctx, tx)
	})
}

// dsn names the file to the driver. The path is escaped as a URI: a file's
// name may hold ? or #. mode keeps SQLite from making a file of its own.
func (s *Store) dsn(pragmas ...string) string {
	guards := []string{"busy_timeout(" + strconv.Itoa(busyWait) + ")", "trusted_schema(0)", "cell_size_check(1)"}
	q := url.Values{"mode": {"rw"}, "_defensive": {"1"}, "_pragma": append(guards, pragmas...)}
	if s.cfg.ReadOnly {
		q.Set("mode", "ro")
	}
	if _, err := os.Lstat(s.path + "-wal"); s.cfg.Backup && errors.Is(err, fs.ErrNotExist) {
		q.Set("immutable", "1") // no process writes it, and no file is made beside it
	}
	return (&url.URL{Scheme: "file", Path: s.path, RawQuery: q.Encode()}).String()
}

// sqlOpen does no I/O; it fails only for a driver that is not registered.
func sqlOpen(dsn string) *sql.DB {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		panic("sqlite: the driver is not linked in: " + err.Error())
	}
	return db
}

func (s *Store) fileErrorOrNil(err error) error {
	if err == nil {
		return nil
	}
	return s.fileError(err)
}

func (s *Store) fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return core.Errorf(core.KindNotFound, "the database %s does not exist", s.path).
			WithNext("check the path; a node without --routes makes a missing database in a directory that is there, and so does `unibusd user add NKEY --db FILE`")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		if err := s.checkAccess(); err != nil {
			return err
		}
		return s.unreachable()
	}
	return core.Errorf(core.KindFailed, "the database %s cannot be used: %w", s.path, err)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
