package sqlite

import (
	"context"
	"errors"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"unibus/core"
)

// code is the result code of an error of the driver, 0 where it is none.
func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

func isBusy(err error) bool {
	c := code(err) & 0xff
	return c == codes.SQLITE_BUSY || c == codes.SQLITE_LOCKED
}

// isUnique is true where a row of the same key is there already.
func isUnique(err error) bool {
	c := code(err)
	return c == codes.SQLITE_CONSTRAINT_PRIMARYKEY || c == codes.SQLITE_CONSTRAINT_UNIQUE
}

func (s *Store) closed() error {
	return core.Errorf(core.KindUnavailable, "the database %s is closed", s.path)
}

// errMigrating is the error of a write while the file is fenced.
func errMigrating() error {
	return core.Errorf(core.KindUnavailable, "the control plane is moving: this database takes no changes").
		WithNext("see `unibusd migration status`; repeat the change when the migration is over")
}

// explain turns an error of the database into one that a person can use. A core
// error passes as it is.
func (s *Store) explain(ctx context.Context, err error) error {
	var known *core.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case !s.open.Load() && s.read != nil:
		return s.closed()
	case isBusy(err):
		return explainCode(s.path, err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		late := core.Errorf(core.KindUnavailable, "the database %s did not answer in time", s.path)
		late.Err = context.DeadlineExceeded
		return late.WithNext("see whether another process holds it: lsof %s", s.path)
	case ctx.Err() != nil:
		canceled := core.Errorf(core.KindUnavailable, "the call to the database %s was canceled", s.path)
		canceled.Err = ctx.Err()
		return canceled
	}
	switch code(err) & 0xff {
	case codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_CANTOPEN, codes.SQLITE_AUTH, codes.SQLITE_IOERR:
		if refused := s.checkAccess(); refused != nil {
			return refused
		}
	}
	return explainCode(s.path, err)
}

// explainCode explains a result code of SQLite. The driver's own error is not
// kept: no package outside may depend on it.
func explainCode(path string, err error) error {
	c := code(err)
	if c == codes.SQLITE_CONSTRAINT_TRIGGER {
		return errMigrating()
	}
	switch c & 0xff {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return core.Errorf(core.KindUnavailable, "another process holds a lock on the database %s; nothing is wrong with the file", path).
			WithNext("wait for that process, or find it with: lsof %s", core.ShellQuote(path))
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return core.Errorf(core.KindFailed, "the database %s is damaged: %s", path, err.Error()).
			WithNext("stop the node, keep the file, and put a backup in its place")
	case codes.SQLITE_FULL:
		return core.Errorf(core.KindFailed, "no space is left for the database %s; nothing was changed", path).
			WithNext("free space on its disk and repeat the change")
	case codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_CANTOPEN, codes.SQLITE_AUTH:
		return core.Errorf(core.KindRefused, "the database %s, or the directory it is in, cannot be written by this process", path).
			WithNext("run as the user who owns them, or change their owner and mode")
	case codes.SQLITE_IOERR:
		return core.Errorf(core.KindFailed, "the disk refused a read or a write of the database %s: %s", path, err.Error()).
			WithNext("check the disk and the kernel's log before anything else")
	case codes.SQLITE_CONSTRAINT, codes.SQLITE_MISMATCH:
		return core.Errorf(core.KindInvalid, "the database %s refuses the row by a rule of its own: %s", path, err.Error())
	case codes.SQLITE_TOOBIG:
		return core.Errorf(core.KindInvalid, "a value is too large for the database %s", path)
	}
	return core.Errorf(core.KindFailed, "the database %s failed: %s", path, err.Error())
}
