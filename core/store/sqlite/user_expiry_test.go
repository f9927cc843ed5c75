package sqlite

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

// empty3 makes an empty file of version 3.
func empty3(t *testing.T) string {
	t.Helper()
	path := dbPath(t)
	w, err := CreateVersion(t.Context(), path, expiryVersion)
	must(t, err)
	_, err = w.Finish(t.Context())
	must(t, err)
	return path
}

// expiring is Rekeyed with two users that have ends.
func expiring(t *testing.T) core.Snapshot {
	in := storetest.Rekeyed(t)
	in.Users[0].Expires, in.Users[2].Expires = storetest.Start+1, storetest.Start+2
	return in
}

func TestStoreOfVersion3(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) core.Store { return opened(t, Config{Path: empty3(t)}) }
	storetest.Run(t, open)
	storetest.RunStates(t, open)
}

// TestFirstExpiryUpgradesTheFile: until then an older release can use it, and from
// then on it refuses the file: it would admit an expired user.
func TestFirstExpiryUpgradesTheFile(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"version 1": dbPath(t), "version 2": empty2(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, Config{Path: path, Create: true})
			was := s.SchemaVersion()
			other := opened(t, Config{Path: s.Path()})
			u := storetest.NewUser(t, "u")
			must(t, s.AddUser(t.Context(), u))
			u, err := s.SetUserExpiry(t.Context(), u.ID, 0, storetest.Start)
			must(t, err)
			_, err = s.SetUserExpiry(t.Context(), storetest.NewUserID(t), 5, storetest.Start)
			wantKind(t, err, core.KindNotFound)
			again := u
			again.Expires = 7
			wantKind(t, s.AddUser(t.Context(), again), core.KindExists)
			if s.SchemaVersion() != was {
				t.Fatalf("version %d without an end, it was %d", s.SchemaVersion(), was)
			}
			before := header(t, s)
			must(t, s.Track(t.Context()))
			_, err = s.SetUserExpiry(t.Context(), u.ID, 5, storetest.Start)
			wantKind(t, err, core.KindUnavailable, "is being migrated")
			must(t, s.Untrack(t.Context()))
			if d := cmp.Diff(before, header(t, s)); d != "" {
				t.Errorf("a refused end changed the file:\n%s", d)
			}
			u, err = s.SetUserExpiry(t.Context(), u.ID, 5, storetest.Start)
			must(t, err)
			if version, err := texts(t.Context(), s.read, "PRAGMA user_version"); err != nil || version[0] != "3" || s.SchemaVersion() != 3 {
				t.Errorf("version %v, %d, %v", version, s.SchemaVersion(), err)
			}
			for name, s := range map[string]*Store{"the handle of another process": other, "a new one": opened(t, Config{Path: s.Path()})} {
				got, err := s.User(t.Context(), u.ID)
				if d := cmp.Diff(u, got); d != "" || err != nil || s.SchemaVersion() != 3 {
					t.Errorf("%s: version %d, %v, %s", name, s.SchemaVersion(), err, d)
				}
				_, err = s.SetKEMKey(t.Context(), u.ID, u.KEMKey, u.Updated)
				must(t, err)
			}
		})
	}
}

// TestVersion3IsServedAndMoved: ends come back in every form, and a backup has them.
func TestVersion3IsServedAndMoved(t *testing.T) {
	t.Parallel()
	want := expiring(t)
	s := opened(t, Config{Path: fill(t, want)})
	if s.SchemaVersion() != 3 {
		t.Errorf("version %d", s.SchemaVersion())
	}
	wantRows(t, s, want)
	must(t, s.Integrity(t.Context()))
	if p, err := s.Problems(t.Context(), 0); err != nil || len(p) > 0 {
		t.Errorf("Problems: %v, %v", p, err)
	}
	info, err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "b.db"))
	must(t, err)
	wantRows(t, opened(t, Config{Path: info.Path, ReadOnly: true, Backup: true}), want)
	sum, err := s.Fingerprint(t.Context())
	must(t, err)
	must(t, raw(t, s.Path(), "UPDATE users SET expires = 7 WHERE expires IS NOT NULL"))
	if changed, err := s.Fingerprint(t.Context()); err != nil || changed == sum {
		t.Errorf("another end has the same fingerprint, %v", err)
	}
	must(t, raw(t, s.Path(), "UPDATE users SET id = lower(id)"))
	want.Users[0].Expires, want.Users[2].Expires = 7, 7
	wantRows(t, s, want)

	before := header(t, s)
	must(t, s.Fence(t.Context()))
	wantKind(t, New(Config{Path: s.Path()}).Open(t.Context()), core.KindRefused, "fenced")
	mover := opened(t, Config{Path: s.Path(), AllowFenced: true})
	wantRows(t, mover, want)
	must(t, mover.Lift(t.Context()))
	if d := cmp.Diff(before, header(t, s)); d != "" {
		t.Errorf("Lift left more or less than there was:\n%s", d)
	}
	must(t, s.Track(t.Context()))
	must(t, raw(t, s.Path(), "UPDATE users SET expires = 8 WHERE upper(id) = '"+string(want.Users[2].ID)+"'"))
	if keys, err := s.Changed(t.Context(), core.TableUsers); err != nil || len(keys) != 1 || keys[0] != string(want.Users[2].ID) {
		t.Errorf("changed %v, %v", keys, err)
	}
}

// TestWriterOfVersion1RefusesExpiry: the file that it makes is of the version that was asked for.
func TestWriterOfVersion1RefusesExpiry(t *testing.T) {
	t.Parallel()
	w, err := CreateVersion(t.Context(), dbPath(t), legacyVersion)
	must(t, err)
	in := expiring(t)
	wantKind(t, w.Put(t.Context(), shuffled(core.Snapshot{Users: in.Users}, rand.IntN)), core.KindInvalid, "schema version 1")
	must(t, w.Discard())
}

func TestExpiryProblems(t *testing.T) {
	t.Parallel()
	in := expiring(t)
	id := string(in.Users[0].ID)
	for value, text := range map[string]string{"0": "0 is no time", "-5": "-5 is no time", "1.5": "has the type REAL", "'soon'": "has the type TEXT", "9000000000000000000": "is no time"} {
		s := opened(t, Config{Path: fill(t, in)})
		must(t, raw(t, s.Path(), "UPDATE users SET expires = "+value+" WHERE id = '"+id+"'"))
		found, err := s.Problems(t.Context(), 0)
		must(t, err)
		if len(found) != 1 || found[0].Key != id {
			t.Errorf("%s: %+v", value, found)
		}
		if others, err := s.ExpiringUsers(t.Context()); err != nil || len(others) != 1 || others[0].ID != in.Users[2].ID {
			t.Errorf("%s: the others with an end: %+v, %v", value, others, err)
		}
		_, err = s.Admit(t.Context(), in.Users[0].ID)
		wantKind(t, err, core.KindFailed, text)
	}
}
