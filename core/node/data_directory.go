package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"unibus/core"
	"unibus/core/migrate"
)

// openDirectory locks the data directory. Everything that can keep the node from starting
// is checked before anything in it is made or changed.
func (n *Node) openDirectory(context.Context) error {
	info, err := os.Stat(n.cfg.Data)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil {
		if err := checkPrivate(n.cfg.Data, info); err != nil {
			return err
		}
	}
	if err := n.bus.CheckDir(); err != nil {
		return err
	}
	if !fresh { // so that a second start of this node is not reported as an address in use
		if n.lock, err = lockDirectory(n.cfg.Data); err != nil {
			return err
		}
	}
	if err := n.bus.CheckPorts(); err != nil {
		return errors.Join(err, n.lock.release())
	}
	if fresh {
		if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
			return core.Errorf(core.KindFailed, "the data directory %s cannot be made: %w", n.cfg.Data, err).WithNext("check --data")
		}
		if n.lock, err = lockDirectory(n.cfg.Data); err != nil {
			return err
		}
	}
	n.journal = migrate.NewFileJournal(filepath.Join(n.cfg.Data, "journal.json"))
	if _, err := n.journal.Load(); err != nil {
		return errors.Join(err, n.lock.release())
	}
	for _, open := range []func() error{n.openRemovedOperators, n.openMembership, n.readMaintenance} {
		if err := open(); err != nil {
			return errors.Join(err, n.lock.release())
		}
	}
	return nil
}

func (n *Node) closeDirectory(context.Context) error { return n.lock.release() }

// lockFile is the file in a data directory on which a running node holds a lock. It
// contains the process id, so that a refusal can name the process.
const lockFile = "unibusd.lock"

// directoryLock keeps a second daemon out of a data directory while this process lives.
type directoryLock struct{ f *os.File }

// checkPrivate refuses a data directory that other users may enter or that another user
// owns: its files decide which users are admitted.
func checkPrivate(dir string, info os.FileInfo) error {
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

func lockDirectory(dir string) (*directoryLock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the data directory %s cannot be written: %w", dir, err).WithNext("check --data and its owner")
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
	return &directoryLock{f}, nil
}

// release lets the next daemon in. The file stays: its removal would race with the next lock.
func (l *directoryLock) release() error {
	if l == nil || l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
