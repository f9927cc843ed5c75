package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"unibus/core"
)

// LockFile is the name of the file in a data directory that a running node
// holds a lock on; it contains the process id, so that others can tell who it is.
const LockFile = "unibusd.lock"

// dirLock keeps a second daemon out of a data directory for as long as this process lives.
type dirLock struct{ f *os.File }

// checkOwn refuses a data directory that others may enter or that is somebody
// else's: it holds what decides who is admitted.
func checkOwn(dir string, info os.FileInfo) error {
	switch st, ok := info.Sys().(*syscall.Stat_t); {
	case !info.IsDir():
		return core.Errorf(core.KindInvalid, "%s is not a directory", dir).WithNext("give a directory with --data")
	case ok && int(st.Uid) != os.Geteuid():
		return core.Errorf(core.KindRefused, "the data directory %s belongs to the user %d, and this is the user %d", dir, st.Uid, os.Geteuid()).
			WithNext("run unibusd as its owner, or: chown -R %d %s", os.Geteuid(), dir)
	case info.Mode().Perm()&0o077 != 0:
		return core.Errorf(core.KindRefused, "the data directory %s is open to others (mode %04o)", dir, info.Mode().Perm()).
			WithNext("chmod 700 %s", dir)
	}
	return nil
}

func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, LockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the data directory %s cannot be written: %w", dir, err).WithNext("check --data and who owns it")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(path) // only for the text
		_ = f.Close()
		return nil, core.Errorf(core.KindRefused, "the data directory %s is in use by process %s", dir, strings.TrimSpace(string(pid))).
			WithNext("stop that unibusd first, or give another --data")
	}
	if err = f.Truncate(0); err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		_ = f.Close()
		return nil, core.Errorf(core.KindFailed, "%s cannot be written: %w", path, err)
	}
	return &dirLock{f}, nil
}

// release lets the next daemon in. The file stays: removing it would race with that one's lock.
func (l *dirLock) release() error {
	if l == nil || l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
