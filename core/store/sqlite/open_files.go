package sqlite

import (
	"database/sql"
	"os"
	"sync"
	"syscall"

	"unibus/core"
)

// openFiles tells whether the files that SQLite has open are still the ones at their
// paths. SQLite itself does not notice: it goes on writing to a file that was removed,
// and the system drops that file when the process ends.
type openFiles struct {
	mu     sync.Mutex
	writer any // the connection that has the log open; SQLite may make a new log for another one
	ids    map[string]fileID
}

// fileID tells a file from another one that takes its place.
type fileID struct{ device, inode uint64 }

// idOf returns false where there is no file.
func idOf(path string) (fileID, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, false
	}
	return fileID{uint64(st.Dev), st.Ino}, true
}

// note is called with a connection that is in a write transaction, and so has the log open.
func (o *openFiles) note(path string, writer any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writer == writer {
		return
	}
	main, known := o.ids[path]
	o.writer, o.ids = writer, map[string]fileID{}
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		if id, ok := idOf(p); ok {
			o.ids[p] = id
		}
	}
	if known {
		o.ids[path] = main // the file that was opened first stays the one that counts
	}
}

func (o *openFiles) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writer, o.ids = nil, nil
}

// misplaced returns the first file that is not in its place; "" if all are. other says
// that another file has its place.
func (o *openFiles) misplaced(path string) (file string, other bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		want, known := o.ids[p]
		if !known {
			continue
		}
		if have, ok := idOf(p); have != want {
			return p, ok
		}
	}
	return "", false
}

// Misplaced returns the path of the database, or of the log beside it, if that was
// removed, moved or replaced since Open; "" if all is in its place. Then every change is
// refused, because it would be lost. A link that leads to another file now counts too,
// though changes go on: a restart would open that other file.
func (s *Store) Misplaced() (file string, replaced bool) {
	if file, replaced = s.files.misplaced(s.path); file != "" || s.cfg.Path == s.path {
		return file, replaced
	}
	s.files.mu.Lock()
	want, known := s.files.ids[s.path]
	s.files.mu.Unlock()
	if have, ok := idOf(s.cfg.Path); known && have != want {
		return s.cfg.Path, ok
	}
	return "", false
}

func (s *Store) errMisplaced(file string, other bool) error {
	text := "was removed or moved while it is open"
	if other {
		text = "was replaced by another file while it is open"
	}
	return core.Errorf(core.KindFailed, "the database file %s %s: changes are refused, because they would be lost", file, text).
		WithNext("put the open file back in its place; if it was deleted, do not stop the node, and save its content: unibusd backup --out FILE")
}

// checkPlace refuses a change of a file that is not in its place. Reads go on with the
// connections that exist: a new one would open another file, or none.
func (s *Store) checkPlace() error {
	file, other := s.files.misplaced(s.path)
	if away := file != ""; s.readersLimited.Swap(away) != away {
		most := 0 // no limit
		if away {
			most = max(1, s.read.Stats().OpenConnections)
		}
		s.read.SetMaxOpenConns(most)
	}
	if file == "" {
		return nil
	}
	return s.errMisplaced(file, other)
}

// noteWriter has conn remembered as the connection that writes.
func (s *Store) noteWriter(conn *sql.Conn) error {
	return conn.Raw(func(driverConn any) error {
		s.files.note(s.path, driverConn)
		return nil
	})
}
