package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestChangesOfAMisplacedFileAreRefused: a file that was removed, moved or replaced while
// it is open takes no changes, because they would be lost with it. Reads go on from the
// open file, a backup saves its content, and changes go on once it is back.
func TestChangesOfAMisplacedFileAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm func(t *testing.T, path string)
		undo func(t *testing.T, path string) // nil: it cannot be undone
		says string
	}{
		"removed": {harm: func(t *testing.T, path string) { must(t, os.Remove(path)) }, says: "removed or moved"},
		"removed with its log": {harm: func(t *testing.T, path string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				must(t, os.Remove(path+suffix))
			}
		}, says: "removed or moved"},
		"log removed":           {harm: func(t *testing.T, path string) { must(t, os.Remove(path+"-wal")) }, says: "unibus.db-wal was removed"},
		"memory of log removed": {harm: func(t *testing.T, path string) { must(t, os.Remove(path+"-shm")) }, says: "unibus.db-shm was removed"},
		"moved": {
			harm: func(t *testing.T, path string) { must(t, os.Rename(path, path+".old")) },
			undo: func(t *testing.T, path string) { must(t, os.Rename(path+".old", path)) },
			says: "removed or moved",
		},
		"directory moved": {
			harm: func(t *testing.T, path string) { must(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".old")) },
			undo: func(t *testing.T, path string) { must(t, os.Rename(filepath.Dir(path)+".old", filepath.Dir(path))) },
			says: "removed or moved",
		},
		"replaced": {
			harm: func(t *testing.T, path string) {
				must(t, os.Rename(path, path+".old"))
				other := New(Config{Path: path + ".new", Create: true})
				must(t, other.Open(t.Context()))
				must(t, other.Close())
				must(t, os.Rename(path+".new", path))
			},
			undo: func(t *testing.T, path string) { must(t, os.Rename(path+".old", path)) },
			says: "replaced by another file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "data", "unibus.db")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			s := create(t, path)
			before, after := storetest.NewUser(t, "ana"), storetest.NewUser(t, "ben")
			must(t, s.AddUser(t.Context(), before))
			inPlace(t, s)
			c.harm(t, path)
			if file, replaced := s.Misplaced(); !strings.HasPrefix(file, path) || replaced != strings.Contains(c.says, "replaced") {
				t.Errorf("%q, %v", file, replaced)
			}
			wantKind(t, s.AddUser(t.Context(), after), core.KindFailed, c.says)
			var readers sync.WaitGroup
			for range 20 { // more at a time than there are open connections
				readers.Go(func() {
					if users, err := s.Users(t.Context()); err != nil || len(users) != 1 {
						t.Errorf("the open file has %d users: %v", len(users), err)
					}
				})
			}
			readers.Wait()
			saved := filepath.Join(t.TempDir(), "saved.db")
			_, err := s.Backup(t.Context(), saved)
			must(t, err)
			if users, err := opened(t, Config{Path: saved, Backup: true}).Users(t.Context()); err != nil || len(users) != 1 {
				t.Errorf("the backup has %d users: %v", len(users), err)
			}
			if c.undo == nil {
				return
			}
			c.undo(t, path)
			must(t, s.AddUser(t.Context(), after))
			inPlace(t, s)
		})
	}
}

// TestLinkToAnotherFileIsFound: the open file is in its place, and a restart would open another.
func TestLinkToAnotherFileIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "unibus.db")
	must(t, os.Symlink(filepath.Join(dir, "a.db"), link))
	must(t, os.WriteFile(filepath.Join(dir, "b.db"), nil, 0o600))
	first := create(t, filepath.Join(dir, "a.db"))
	must(t, first.Close())
	s := opened(t, Config{Path: link})
	inPlace(t, s)
	must(t, os.Remove(link))
	must(t, os.Symlink(filepath.Join(dir, "b.db"), link))
	if file, replaced := s.Misplaced(); file != link || !replaced {
		t.Errorf("%q, %v", file, replaced)
	}
}

func inPlace(t *testing.T, s *Store) {
	t.Helper()
	if file, _ := s.Misplaced(); file != "" {
		t.Errorf("%s is said to be misplaced", file)
	}
}
