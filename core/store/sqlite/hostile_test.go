package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// legacyFile is the bytes of a whole file of version 1.
func legacyFile(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "legacy.db")
	s := New(Config{Path: path, Create: true})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), storetest.TwoRooms(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spoiled is a file of version 1 after somebody else's statements, without a log beside it.
func spoiled(t *testing.T, good []byte, statements ...string) string {
	t.Helper()
	path := dbPath(t)
	must(t, os.WriteFile(path, good, 0o600))
	must(t, hostile.Spoil(path, append([]string{"PRAGMA journal_mode=DELETE"}, statements...)...))
	return path
}

// TestHostileSchemasAreRefused: whatever is in the schema beside what unibus makes is a
// program that would run with its rights. It is refused before a row is read, however it is opened.
func TestHostileSchemasAreRefused(t *testing.T) {
	t.Parallel()
	good := legacyFile(t)
	for _, f := range hostile.Schemas() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			path := spoiled(t, good, f.SQL...)
			before := contents(t, filepath.Dir(path))
			for _, cfg := range []Config{{Path: path}, {Path: path, Create: true}, {Path: path, AllowFenced: true}, {Path: path, ReadOnly: true}} {
				began := time.Now()
				s := New(cfg)
				err := s.Open(t.Context())
				if err == nil {
					must(t, s.Close())
				}
				if k := core.KindOf(err); k != core.KindInvalid && k != core.KindFailed && !(k == core.KindRefused && f.Name == "user_version 1099" && !cfg.AllowFenced) {
					t.Fatalf("%+v: %v", cfg, err)
				}
				if core.AsError(err).Next == "" || !strings.Contains(err.Error(), path) {
					t.Errorf("%v: of what, and then?", err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
			}
			if d := cmp.Diff(before, contents(t, filepath.Dir(path))); d != "" {
				t.Errorf("a refused file was changed:\n%s", d)
			}
		})
	}
}

func TestUTF16IsRefused(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, hostile.UTF16(path, strings.Split(strings.TrimSpace(legacySchema), "\n")...))
	wantKind(t, New(Config{Path: path}).Open(t.Context()), core.KindInvalid, "UTF-16")
}
