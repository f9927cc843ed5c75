package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/store/sqlite"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// TestBackupOfAFileThatCannotBeRestored: it is refused at once and leaves no file. A
// backup of such a file could not be mended later.
func TestBackupOfAFileThatCannotBeRestored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(s *sqlite.Store) error
		kind  core.Kind
		text  string
	}{
		"whole":  {func(*sqlite.Store) error { return nil }, "", ""},
		"fenced": {func(s *sqlite.Store) error { return s.Fence(t.Context()) }, core.KindUnavailable, "is moving"},
		"a trigger": {func(s *sqlite.Store) error {
			return hostile.Spoil(s.Path(), "CREATE TRIGGER t AFTER INSERT ON users BEGIN UPDATE users SET role = 'admin'; END")
		}, core.KindInvalid, `"t"`},
		"an unknown role": {func(s *sqlite.Store) error { return respell(t, s) }, core.KindInvalid, `cannot be restored`},
	} {
		dir := t.TempDir()
		s := sqlite.New(sqlite.Config{Path: filepath.Join(dir, "unibus.db"), Create: true})
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.AddUser(t.Context(), storetest.NewUser(t, "u")), c.spoil(s)); err != nil {
			t.Fatal(name, err)
		}
		path := filepath.Join(dir, "backup.db")
		b, err := backupFile(t.Context(), s, path)
		if core.KindOf(err) != c.kind || err != nil && (!strings.Contains(err.Error(), c.text) || core.AsError(err).Next == "") {
			t.Errorf("%s: %v", name, err)
		}
		_, statErr := os.Stat(path)
		if (err == nil) != (statErr == nil) || err == nil && (b.Schema != 1 || len(b.Tables) != 4) {
			t.Errorf("%s: %+v, %v", name, b, statErr)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// respell gives the users of a file a role that does not exist, as another program could.
func respell(t *testing.T, s *sqlite.Store) error {
	t.Helper()
	if err := s.Close(); err != nil {
		return err
	}
	data, err := os.ReadFile(s.Path())
	if err != nil {
		return err
	}
	data = bytes.ReplaceAll(data, []byte("memberactive"), []byte("nobodyactive"))
	return errors.Join(os.WriteFile(s.Path(), data, 0o600), s.Open(t.Context()))
}
