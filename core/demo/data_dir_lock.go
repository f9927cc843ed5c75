package demo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"unibus/core"
)

// lockFile is locked by a running node in its data directory; it contains the
// process id.
const lockFile = "unibusd.lock"

// pollEvery is the interval at which conditions of other processes are checked.
const pollEvery = 50 * time.Millisecond

// lockHolder returns the process that holds a data directory's lock, 0 if none
// does. The lock proves that the process is the node, the number does not: the
// lock ends with the process.
func lockHolder(dataDir string) (pid int, err error) {
	path := filepath.Join(dataDir, lockFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, core.Errorf(core.KindFailed, "the lock of the node cannot be looked at: %w", err)
	}
	defer func() { _ = f.Close() }() // which also gives a lock back
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return 0, core.Errorf(core.KindFailed, "the lock %s cannot be looked at: %w", path, err)
	}
	text := make([]byte, 32)
	n, _ := f.Read(text)
	pid, err = strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil || pid <= 1 {
		return 0, core.Errorf(core.KindFailed, "%s is locked and names no process", path).
			WithNext("find the process with `fuser %s`", shellWord(path))
	}
	return pid, nil
}

// signalLockHolder sends sig to the process that holds the lock. It opens the
// process first and then reads the lock again, so that a reused process id is
// never signaled.
func signalLockHolder(dataDir string, sig syscall.Signal) (pid int, err error) {
	pid, err = lockHolder(dataDir)
	if err != nil || pid == 0 {
		return 0, err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0, core.Errorf(core.KindFailed, "the process %d cannot be found: %w", pid, err)
	}
	defer func() { _ = p.Release() }()
	again, err := lockHolder(dataDir)
	if err != nil || again != pid {
		return again, err
	}
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return pid, core.Errorf(core.KindFailed, "the process %d cannot be signaled: %w", pid, err)
	}
	return pid, nil
}

// awaitUnlocked waits until the lock is free. KindUnavailable if ctx ends first.
func awaitUnlocked(ctx context.Context, dataDir string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		pid, err := lockHolder(dataDir)
		if err != nil || pid == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return core.Errorf(core.KindUnavailable, "the process %d did not stop in time", pid).
				WithNext("see its unibusd.log; `kill -9 %d` ends it, nothing acknowledged is lost by that", pid)
		case <-tick.C:
		}
	}
}
