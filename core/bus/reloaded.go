package bus

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// defaultReloadEvery is how often files are checked where Config sets no period.
const defaultReloadEvery = 2 * time.Second

// reloaded is a value that is loaded from files, and loaded again after they have
// changed, without a restart. Files that cannot be used are logged once, and the last
// good value stays in use. A nil reloaded holds the zero value.
type reloaded[T any] struct {
	source reloadedFile[T]
	every  time.Duration // the shortest time between two checks of the files
	log    *slog.Logger

	mu      sync.Mutex
	value   T
	stamp   string // of the files, before value was loaded from them
	checked time.Time
	fault   error // why the files are not in use as they are now
}

// reloadedFile says where a value comes from. Load gets the last good value, the zero
// value at the start.
type reloadedFile[T any] struct {
	name     string   // in the log
	path     string   // in the log
	beside   []string // further files of the value
	load     func(last T) (T, error)
	describe func(T) slog.Attr // of a new value, for the log
}

// stamp changes when one of the files does, or another one takes its place.
func (f *reloadedFile[T]) stamp() string {
	text := ""
	for _, path := range append([]string{f.path}, f.beside...) {
		info, err := os.Stat(path)
		if err != nil {
			text += "missing "
			continue
		}
		inode := uint64(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = st.Ino
		}
		text += fmt.Sprintf("%d %d %d %s ", info.ModTime().UnixNano(), info.Size(), inode, info.Mode())
	}
	return text
}

// newReloaded loads the value for the first time.
func newReloaded[T any](s *Server, source reloadedFile[T]) (*reloaded[T], error) {
	r := &reloaded[T]{source: source, every: s.cfg.CertCheck, log: s.log, stamp: source.stamp()}
	if r.every == 0 {
		r.every = defaultReloadEvery
	}
	var none T
	value, err := source.load(none)
	if err != nil {
		return nil, err
	}
	r.value = value
	return r, nil
}

// current returns the newest good value.
func (r *reloaded[T]) current() T {
	value, _ := r.inForce()
	return value
}

// inForce returns the newest good value, and why the files as they are now are not in use.
func (r *reloaded[T]) inForce() (T, error) {
	if r == nil {
		var none T
		return none, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < r.every {
		return r.value, r.fault
	}
	r.checked = time.Now()
	stamp := r.source.stamp()
	if stamp == r.stamp {
		r.fault = nil
		return r.value, nil
	}
	next, err := r.source.load(r.value)
	if err != nil {
		if r.fault == nil || r.fault.Error() != err.Error() { // once, and not at every check
			r.log.Error(r.source.name+" cannot be used; the last good one stays in use", "file", r.source.path, "reason", err)
		}
		r.fault = err
		return r.value, err
	}
	r.value, r.stamp, r.fault = next, stamp, nil
	r.log.Info(r.source.name+" is in use", "file", r.source.path, r.source.describe(next))
	return next, nil
}
