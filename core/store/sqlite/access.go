package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"unibus/core"
)

// SQLite says of a file that it may not use only that it cannot open or write
// something. The kernel knows which: the file, a log beside it, or the directory.

const (
	mayRead  uint32 = 4
	mayWrite uint32 = 2
	mayEnter uint32 = 1
)

// checkAccess says what keeps this process from using the file, if anything does. It
// opens nothing: closing a second descriptor of the file would drop SQLite's locks.
func (s *Store) checkAccess() error {
	dir := filepath.Dir(s.path)
	if err := syscall.Access(dir, mayEnter); err != nil {
		return s.refused(dir, err, "the directory of the database %s cannot be entered", s.path)
	}
	for _, file := range []struct{ path, what string }{
		{s.path, "the database"},
		{s.path + "-wal", "the database's log"},
		{s.path + "-shm", "the index of the database's log"},
		{s.path + "-journal", "the database's journal"},
	} {
		if err := s.checkFileAccess(file.path, file.what); err != nil {
			return err
		}
	}
	if s.cfg.ReadOnly {
		return nil
	}
	if err := syscall.Access(dir, mayWrite); err != nil {
		return s.refused(dir, err, "the directory %s cannot be written, and SQLite keeps a log there, beside the database %s", dir, filepath.Base(s.path))
	}
	return nil
}

func (s *Store) checkFileAccess(path, what string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && path != s.path && !info.Mode().IsRegular() {
		return core.Errorf(core.KindRefused, "%s %s is not a regular file", what, path).WithNext("stop the node, and see what put it there")
	}
	if err := syscall.Access(path, mayRead); err != nil {
		return s.refused(path, err, "%s %s cannot be read", what, path)
	}
	if s.cfg.ReadOnly {
		return nil
	}
	if err := syscall.Access(path, mayWrite); err != nil {
		return s.refused(path, err, "%s %s cannot be written", what, path)
	}
	return nil
}

// refused says why the kernel refuses, and to whom.
func (s *Store) refused(path string, cause error, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	switch {
	case errors.Is(cause, syscall.EROFS):
		return core.Errorf(core.KindRefused, "%s: its file system is mounted read-only; nothing is wrong with the database", text).
			WithNext("mount it for writing. If it became read-only by itself, its disk fails: see the kernel's log with: dmesg")
	case errors.Is(cause, syscall.EPERM):
		return core.Errorf(core.KindRefused, "%s: it is marked immutable", text).WithNext("take the mark away: chattr -i %s", core.ShellQuote(path))
	case !errors.Is(cause, syscall.EACCES):
		return core.Errorf(core.KindFailed, "%s: %w", text, cause)
	}
	info, err := os.Stat(path)
	if err != nil {
		return s.unreachable()
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return s.unreachable()
	}
	owner, me, mode := userName(st.Uid), userName(uint32(os.Geteuid())), info.Mode().Perm()
	problem := core.Errorf(core.KindRefused, "%s: it belongs to %s with mode %04o, and this process runs as %s", text, owner, mode, me)
	if owner == me {
		return problem.WithNext("allow it: chmod u+rwX %s", core.ShellQuote(path))
	}
	if st.Uid == 0 { // as root everything works, and leaves more files of root
		return problem.WithNext("with every process that uses the database stopped: chown %s %s", me, core.ShellQuote(path))
	}
	return problem.WithNext("run the command as %s; or, with every process that uses the database stopped: chown %s %s", owner, me, core.ShellQuote(path))
}

// unreachable is for a file of which not even the modes can be read.
func (s *Store) unreachable() error {
	return core.Errorf(core.KindRefused, "this process, as %s, may not use the database %s, or enter a directory that leads to it", userName(uint32(os.Geteuid())), s.path).
		WithNext("run as the user who owns it; see the modes on the way with: namei -l %s", core.ShellQuote(s.path))
}

func userName(id uint32) string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(id), 10)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("the user %d", id)
}
