package bus

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// defaultReloadEvery is how often files are checked where Config sets no period.
const defaultReloadEvery = 10 * time.Second

// reloaded is a value that is loaded from a file, and loaded again after the file
// has changed, without a restart. A file that cannot be used is logged, and the last
// good value stays in use. A nil reloaded holds the zero value.
type reloaded[T any] struct {
	source reloadedFile[T]
	every  time.Duration // the shortest time between two checks of the file
	log    *slog.Logger

	mu       sync.Mutex
	value    T
	modified time.Time // of the file, before value was loaded from it
	checked  time.Time
}

// reloadedFile says where a value comes from. Load gets the last good value, the zero
// value at the start.
type reloadedFile[T any] struct {
	name     string // in the log
	path     string // its modification time tells of a change
	load     func(last T) (T, error)
	describe func(T) slog.Attr // of a new value, for the log
}

// newReloaded loads the value for the first time.
func newReloaded[T any](s *Server, source reloadedFile[T]) (*reloaded[T], error) {
	r := &reloaded[T]{source: source, every: s.cfg.CertCheck, log: s.log, modified: modified(source.path)}
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
	if r == nil {
		var none T
		return none
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < r.every {
		return r.value
	}
	r.checked = time.Now()
	stamp := modified(r.source.path)
	if stamp.Equal(r.modified) {
		return r.value
	}
	next, err := r.source.load(r.value)
	if err != nil {
		r.log.Error(r.source.name+" cannot be used; the last good one stays in use", "file", r.source.path, "reason", err)
		return r.value
	}
	r.value, r.modified = next, stamp
	r.log.Info(r.source.name+" is in use", "file", r.source.path, r.source.describe(next))
	return next
}

// modified returns the zero time where there is no such file.
func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
