package keys

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"unibus/core"
)

// unfinished begins the name of a file that is not yet the one it is to replace.
const unfinished = ".new-"

// Replace writes a file of mode 0600 in place of another one, synced: after a
// crash it is the old one or the new one, never a part. ClearUnfinished
// removes the file that a crash leaves beside it.
func Replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished+"*") // 0600
	if err != nil {
		return err
	}
	err = errors.Join(writeAll(f, data), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// WithFileLock runs f while no other process holds the lock on a file, which is
// made if it is missing. The system gives the lock back when a process dies.
func WithFileLock(path string, f func() error) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return core.Errorf(core.KindFailed, "the lock file %s cannot be opened: %w", path, err)
	}
	defer func() { _ = file.Close() }() // which gives the lock back
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return core.Errorf(core.KindFailed, "the file %s cannot be locked: %w", path, err)
	}
	return f()
}

// ClearUnfinished removes what processes that were killed left of a Replace in a
// directory that is the caller's alone.
func ClearUnfinished(dir string) error {
	left, err := os.ReadDir(dir)
	for _, e := range left {
		if ok, _ := filepath.Match(unfinished+"*", e.Name()); ok {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
