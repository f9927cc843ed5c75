package backup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

func TestRestoreIsTheSame(t *testing.T) {
	t.Parallel()
	from, to := database(t), filepath.Join(t.TempDir(), "new.db")
	before, err := os.ReadFile(from)
	must(t, err)
	digest, _, err := fileSHA256(from)
	must(t, err)
	r, err := Restore(t.Context(), from, to, Expect{SHA256: strings.ToUpper(digest)})
	must(t, err)
	if r.Path != to || r.SHA256 != digest || r.Schema != 2 || r.Tables[3].Count == 0 {
		t.Errorf("%+v", r)
	}
	got, err := Check(t.Context(), to)
	if err != nil || !got.Same(r.Content) {
		t.Errorf("%s, %v", got, err)
	}
	if after, err := os.ReadFile(from); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the backup was changed, %v", err)
	}
	only(t, to)
	s := sqlite.New(sqlite.Config{Path: to})
	must(t, s.Open(t.Context()))
	must(t, s.AddUser(t.Context(), storetest.NewUser(t, "new"))) // it can be served
	must(t, s.Close())
}

// TestRestoreTakesTheLogAlong: a database in use has rows that are in its log and not yet in the
// file itself.
func TestRestoreTakesTheLogAlong(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "live.db"), filepath.Join(t.TempDir(), "new.db")
	s := sqlite.New(sqlite.Config{Path: from, Create: true})
	must(t, s.Open(t.Context()))
	defer func() { must(t, s.Close()) }()
	must(t, s.AddUser(t.Context(), storetest.NewUser(t, "late")))
	if info, err := os.Stat(from + "-wal"); err != nil || info.Size() == 0 {
		t.Fatalf("there is no log: %v", err)
	}
	r, err := Restore(t.Context(), from, to, Expect{})
	if err != nil || r.Tables[0].Count != 1 || r.Schema != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRestoreRefuses whatever is not a whole control plane, says why, and makes nothing.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(database(t))
	must(t, err)
	changed := func(f func(data []byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, from string) { must(t, os.WriteFile(from, f(bytes.Clone(whole)), 0o600)) }
	}
	store := func(f func(s *sqlite.Store) error) func(*testing.T, string) {
		return func(t *testing.T, from string) {
			must(t, os.WriteFile(from, whole, 0o600))
			s := sqlite.New(sqlite.Config{Path: from})
			must(t, s.Open(t.Context()))
			must(t, errors.Join(f(s), s.Close()))
		}
	}
	for name, c := range map[string]struct {
		make func(t *testing.T, from string)
		kind core.Kind
		text string
	}{
		"not there":           {func(*testing.T, string) {}, core.KindNotFound, "does not exist"},
		"empty":               {changed(func([]byte) []byte { return nil }), core.KindInvalid, "empty"},
		"a text":              {changed(func([]byte) []byte { return bytes.Repeat([]byte("text "), 100) }), core.KindInvalid, "not a SQLite"},
		"a header":            {changed(func(d []byte) []byte { return d[:60] }), core.KindFailed, "truncated"},
		"cut short":           {changed(func(d []byte) []byte { return d[:len(d)-4096] }), core.KindFailed, "truncated"},
		"another program's":   {changed(func(d []byte) []byte { d[70] ^= 1; return d }), core.KindInvalid, "another program"},
		"a later version":     {changed(func(d []byte) []byte { d[63] = 9; return d }), core.KindInvalid, "schema version 9"},
		"a version of 0":      {changed(func(d []byte) []byte { d[63] = 0; return d }), core.KindInvalid, "schema version 0"},
		"pages of zeroes":     {changed(func(d []byte) []byte { clear(d[8192:20480]); return d }), core.KindFailed, ""},
		"a word":              {changed(func(d []byte) []byte { return bytes.Replace(d, []byte("memberactive"), []byte("nobodyactive"), 1) }), core.KindInvalid, "nobody"},
		"fenced":              {store(func(s *sqlite.Store) error { return s.Fence(context.Background()) }), core.KindRefused, "revoked users"},
		"not what was meant?": {changed(func(d []byte) []byte { return d }), core.KindFailed, "not the file that was meant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "new.db")
			c.make(t, from)
			meant := ""
			if name == "not what was meant?" {
				meant = strings.Repeat("0", 64)
			}
			_, err := Restore(t.Context(), from, to, Expect{SHA256: meant})
			wantKind(t, err, c.kind, c.text)
			if core.AsError(err).Next == "" {
				t.Errorf("%v: and then?", err)
			}
			only(t, to)
			if _, err := os.Stat(to); err == nil {
				t.Error("there is a new database")
			}
		})
	}
}

func TestRestoreWritesOverNothing(t *testing.T) {
	t.Parallel()
	from := database(t)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		to := filepath.Join(t.TempDir(), "new.db")
		must(t, os.WriteFile(to+suffix, []byte("old"), 0o600))
		_, err := Restore(t.Context(), from, to, Expect{})
		wantKind(t, err, core.KindExists, to+suffix)
		if data, err := os.ReadFile(to + suffix); err != nil || string(data) != "old" {
			t.Errorf("%s is %q now, %v", to+suffix, data, err)
		}
		only(t, to+suffix)
	}
	_, err := Restore(t.Context(), from, from, Expect{})
	wantKind(t, err, core.KindExists)
	_, err = Restore(t.Context(), from, filepath.Join(from, "x", "new.db"), Expect{})
	wantKind(t, err, core.KindFailed)
	_, err = Restore(t.Context(), from, "", Expect{})
	wantKind(t, err, core.KindInvalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to := filepath.Join(t.TempDir(), "new.db")
	if _, err = Restore(ctx, from, to, Expect{}); err == nil {
		t.Error("it was stopped before it began")
	}
	only(t, to)
}

// TestPlaceWithoutLinks: where a file system has none, the same holds.
func TestPlaceWithoutLinks(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "new.db")
	d, err := newPartialFile(to)
	must(t, err)
	f, err := d.create()
	must(t, err)
	must(t, f.Close())
	must(t, d.placeWithoutLinks())
	only(t, to)
	wantKind(t, d.placeWithoutLinks(), core.KindExists)
}

// TestRestoreKeepsExpiry: a user that would end does so in the new database too.
func TestRestoreKeepsExpiry(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "new.db")
	s := sqlite.New(sqlite.Config{Path: from, Create: true})
	must(t, s.Open(t.Context()))
	want := storetest.NewUser(t, "guest")
	want.Expires = storetest.Start + 7
	must(t, errors.Join(s.AddUser(t.Context(), want), s.Close()))
	r, err := Restore(t.Context(), from, to, Expect{})
	if err != nil || r.Schema != 3 || r.Tables[0].Count != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	s = sqlite.New(sqlite.Config{Path: to})
	must(t, s.Open(t.Context()))
	got, err := s.User(t.Context(), want.ID)
	if err != nil || got.Expires != want.Expires {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, s.Close())
}
