package bus

import (
	"crypto/sha256"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"unibus/core"
)

// defaultReloadEvery is how often files are checked where Config sets no period.
const defaultReloadEvery = 2 * time.Second

// restFor is how long ago a file must have been written to be taken for whole, unless it is
// the same at two checks.
const restFor = time.Second

// changingLong is how long files may change at every check until that is a fault.
const changingLong = 30 * time.Second

// reloaded is a value that is loaded from files, and loaded again after they have
// changed and rest, without a restart. Files that cannot be used are logged once, and the
// last good value stays in use. A nil reloaded holds the zero value.
type reloaded[T any] struct {
	source reloadedFile[T]
	every  time.Duration // the shortest time between two checks of the files
	log    *slog.Logger

	mu      sync.Mutex
	value   T
	files   []os.FileInfo     // as they were before value was loaded from them
	seen    []os.FileInfo     // as they were at the last check
	digest  [sha256.Size]byte // of the content of files
	checked time.Time
	changes time.Time // since when they change at every check; zero: they rest
	fault   FileFault // why the files as they are now are not in use
}

// FileFault is a file that cannot be used, while its last good content is in use.
type FileFault struct {
	File   string
	Reason string // "" without a fault
	Next   string // what to do about it; "" where the cause says nothing
	Since  time.Time
}

// reloadedFile says where a value comes from. Load gets the last good value, the zero
// value at the start.
type reloadedFile[T any] struct {
	name     string   // in the log
	path     string   // its inode, size and modification time tell of a change
	beside   []string // further files of the value
	load     func(last T) (T, error)
	describe func(T) slog.Attr // of a new value, for the log
}

// newReloaded loads the value for the first time.
func newReloaded[T any](s *Server, source reloadedFile[T]) (*reloaded[T], error) {
	r := &reloaded[T]{source: source, every: s.cfg.CertCheck, log: s.log, files: source.stat(), digest: source.digest()}
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
	files := r.source.stat()
	if slices.EqualFunc(files, r.files, sameContent) && r.fault.Reason == "" {
		r.changes = time.Time{}
		return r.value
	}
	if !r.rest(files) {
		return r.value
	}
	digest := r.source.digest()
	next, err := r.source.load(r.value)
	if !slices.EqualFunc(files, r.source.stat(), sameContent) { // half of it may be the old one
		return r.value
	}
	if err != nil {
		r.noteFault(err)
		return r.value
	}
	if digest != r.digest || r.fault.Reason != "" { // a file that was only touched is not news
		r.log.Info(r.source.name+" is in use", "file", r.source.path, r.source.describe(next))
	}
	r.value, r.files, r.digest, r.fault = next, files, digest, FileFault{}
	return next
}

// rest is true of files that nothing writes now: half of a bundle is a valid one, too. The
// caller holds mu.
func (r *reloaded[T]) rest(files []os.FileInfo) bool {
	same := slices.EqualFunc(files, r.seen, sameContent)
	r.seen = files
	if same || !slices.ContainsFunc(files, r.isFresh) {
		r.changes = time.Time{}
		return true
	}
	switch {
	case r.changes.IsZero():
		r.changes = r.checked
	case r.checked.Sub(r.changes) >= changingLong:
		r.noteFault(core.Errorf(core.KindUnavailable, "it changes all the time").
			WithNext("see which program writes %s; a file that is written elsewhere and then renamed is whole at every moment", r.source.path))
	}
	return false
}

// isFresh is true of a file that was written just now, by the clock of this machine.
func (r *reloaded[T]) isFresh(f os.FileInfo) bool {
	return f != nil && r.checked.Sub(f.ModTime()).Abs() < min(restFor, r.every)
}

// noteFault logs each reason once, though the files are read again and again.
func (r *reloaded[T]) noteFault(err error) {
	reason := err.Error()
	if reason == r.fault.Reason {
		return
	}
	if r.fault.Reason == "" {
		r.fault.Since = time.Now()
	}
	r.fault.File, r.fault.Reason, r.fault.Next = r.source.path, reason, core.AsError(err).Next
	r.log.Error(r.source.name+" cannot be used; the last good one stays in use", "file", r.source.path, "reason", err, "next", r.fault.Next)
}

// currentFault looks at the files, if it is time, and says why they are not in use.
func (r *reloaded[T]) currentFault() FileFault {
	if r == nil {
		return FileFault{}
	}
	r.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault
}

func (f *reloadedFile[T]) paths() []string { return append([]string{f.path}, f.beside...) }

// digest is of the content of the files. One that cannot be read counts as empty: to load it fails, too.
func (f *reloadedFile[T]) digest() [sha256.Size]byte {
	var all []byte
	for _, path := range f.paths() {
		data, _ := os.ReadFile(path)
		sum := sha256.Sum256(data)
		all = append(all, sum[:]...)
	}
	return sha256.Sum256(all)
}

// stat has nil for a file that is missing.
func (f *reloadedFile[T]) stat() []os.FileInfo {
	var infos []os.FileInfo
	for _, path := range f.paths() {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		infos = append(infos, info)
	}
	return infos
}

// sameContent compares more than the time: a copy may keep it (cp -p), and a link may
// point to another file now. A key that others can read is refused, so that the mode counts.
func sameContent(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}
