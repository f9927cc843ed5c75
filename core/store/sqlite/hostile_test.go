package sqlite

import (
	"context"
	"database/sql"
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

// TestGenuineFilesAreOpened: a file of an earlier release is served as it was.
func TestGenuineFilesAreOpened(t *testing.T) {
	t.Parallel()
	for _, name := range hostile.Genuine() {
		path := dbPath(t)
		must(t, os.WriteFile(path, hostile.GenuineFile(name), 0o600))
		s := opened(t, Config{Path: path})
		must(t, s.Integrity(t.Context()))
		was, err := storetest.Export(t.Context(), s)
		must(t, err)
		if problems, err := s.Problems(t.Context(), 0); err != nil || len(problems) > 0 || len(was.Keys) == 0 {
			t.Errorf("%s: %v, %v, %d keys", name, problems, err, len(was.Keys))
		}
		must(t, s.Track(t.Context())) // it can be moved
		must(t, s.AddUser(t.Context(), storetest.NewUser(t, "new")))
		must(t, s.Fence(t.Context()))
		must(t, opened(t, Config{Path: path, AllowFenced: true}).Lift(t.Context()))
		must(t, s.Untrack(t.Context()))
		_, err = s.SetUserStatus(t.Context(), was.Users[0].ID, core.UserRevoked, 9)
		must(t, err)
		must(t, s.CreateRoom(t.Context(), storetest.NewRoom("more", was.Users[0].ID)))
		_, err = s.UpdateRoom(t.Context(), "more", core.RoomChange{State: core.RoomArchived})
		must(t, err)
		must(t, opened(t, Config{Path: path}).Integrity(t.Context()))
	}
}

// spoiled is a file of version 1 after somebody else's statements, without a log beside it.
func spoiled(t *testing.T, good []byte, statements ...string) string {
	t.Helper()
	path := dbPath(t)
	must(t, os.WriteFile(path, good, 0o600))
	must(t, hostile.Spoil(path, append([]string{"PRAGMA journal_mode=DELETE"}, statements...)...))
	return path
}

// TestHostileSchemasAreRefused: an object in the schema that unibus does not make is a program that
// would run with its rights. It is refused before a row is read, however it is opened.
func TestHostileSchemasAreRefused(t *testing.T) {
	t.Parallel()
	good := hostile.GenuineFile("version1")
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

// TestAWriteWithoutItsEffectIsAnError: where something undoes a change, or makes another of it,
// although no schema that holds such a thing is used, the change fails whole.
func TestAWriteWithoutItsEffectIsAnError(t *testing.T) {
	t.Parallel()
	owner := storetest.NewUser(t, "owner")
	member := storetest.NewUser(t, "member")
	key := storetest.NewKey("r", 0, owner.ID)
	for name, c := range map[string]struct {
		trigger string
		change  func(s *Store) error
	}{
		"revoke": {"AFTER UPDATE ON users BEGIN UPDATE users SET status = 'active'; END", func(s *Store) error {
			_, err := s.SetUserStatus(t.Context(), owner.ID, core.UserRevoked, 9)
			return err
		}},
		"revoke, ignored": {"BEFORE UPDATE ON users BEGIN SELECT RAISE(IGNORE); END", func(s *Store) error {
			_, err := s.SetUserStatus(t.Context(), owner.ID, core.UserRevoked, 9)
			return err
		}},
		"add": {"AFTER INSERT ON users BEGIN UPDATE users SET role = 'admin'; END", func(s *Store) error {
			return s.AddUser(t.Context(), storetest.NewUser(t, "new"))
		}},
		"publish": {"AFTER UPDATE ON users BEGIN UPDATE users SET kem_key = X'00'; END", func(s *Store) error {
			_, err := s.SetKEMKey(t.Context(), owner.ID, []byte("mine"), 9)
			return err
		}},
		"create": {"AFTER INSERT ON rooms BEGIN UPDATE rooms SET encrypted = 0; END", func(s *Store) error {
			return s.CreateRoom(t.Context(), storetest.NewRoom("q", owner.ID))
		}},
		"archive": {"AFTER UPDATE ON rooms BEGIN UPDATE rooms SET name = 'x'; END", func(s *Store) error {
			_, err := s.UpdateRoom(t.Context(), "r", core.RoomChange{Owner: member.ID})
			return err
		}},
		"put": {"AFTER INSERT ON members BEGIN UPDATE members SET role = 'owner'; END", func(s *Store) error {
			return s.PutMember(t.Context(), storetest.NewMember("r", member.ID))
		}},
		"demote": {"AFTER INSERT ON members BEGIN UPDATE members SET role = 'owner'; END", func(s *Store) error {
			_, err := s.SetMemberRole(t.Context(), "r", owner.ID, core.MemberMember)
			return err
		}},
		"remove": {"AFTER DELETE ON members BEGIN INSERT INTO members SELECT 'r', OLD.user_id, OLD.role, NULL, NULL, 1; END", func(s *Store) error {
			return errOf(s.RemoveMember(t.Context(), "r", owner.ID))
		}},
		"give": {"AFTER INSERT ON room_keys BEGIN UPDATE room_keys SET box = X'00'; END", func(s *Store) error {
			return s.PutKey(t.Context(), key)
		}},
		"rekey": {"AFTER INSERT ON room_keys BEGIN DELETE FROM room_keys; END", func(s *Store) error {
			_, err := storetest.Rekey(t.Context(), s, "r", 0, []core.SealedKey{key})
			return err
		}},
		"rekey of nobody": {"AFTER UPDATE ON rooms BEGIN UPDATE rooms SET epoch = 0; END", func(s *Store) error {
			_, err := storetest.Rekey(t.Context(), s, "r", 0, nil)
			return err
		}},
		"commit": {"AFTER INSERT ON epoch_records BEGIN UPDATE epoch_records SET record = X'00'; END", func(s *Store) error {
			_, err := s.CommitRekey(t.Context(), "r", 0, "00112233445566778899aabb", []byte("record"))
			return err
		}},
		"import": {"AFTER INSERT ON users BEGIN UPDATE users SET role = 'admin'; END", func(s *Store) error {
			_, err := s.Import(t.Context(), core.Snapshot{Users: []core.User{storetest.NewUser(t, "new")}})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := create(t, dbPath(t))
			must(t, s.AddUser(t.Context(), owner))
			must(t, s.AddUser(t.Context(), member))
			must(t, s.CreateRoom(t.Context(), storetest.NewRoom("r", owner.ID)))
			must(t, s.PutMember(t.Context(), storetest.NewMember("r", owner.ID)))
			if name == "commit" {
				must(t, s.upgradeToStates(t.Context()))
			}
			before, err := storetest.Export(t.Context(), s)
			must(t, err)
			must(t, raw(t, s.Path(), "CREATE TRIGGER t "+c.trigger))
			wantKind(t, c.change(s), core.KindInvalid, `"t"`) // the schema is looked at again
			cookie, err := pragmaInt(t.Context(), s.read, "schema_version")
			must(t, err)
			s.compared.Store(int64(cookie) + 1) // as if it had not been
			wantKind(t, c.change(s), core.KindFailed, "is not there as it was written")
			after, err := storetest.Export(t.Context(), s)
			must(t, err)
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("a change that failed left something:\n%s", d)
			}
		})
	}
}

// TestConnectionsAreGuarded: a connection to any file trusts no schema, limits the size of cells, takes no
// value and no expression without an end, and is interrupted when its time is over.
func TestConnectionsAreGuarded(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	ask := func(query string) (answer string, err error) {
		err = s.view(t.Context(), time.Second, func(ctx context.Context, tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, query).Scan(&answer)
		})
		return answer, err
	}
	for pragma, want := range map[string]string{"trusted_schema": "0", "cell_size_check": "1", "query_only": "1"} {
		if got, err := ask("PRAGMA " + pragma); err != nil || got != want {
			t.Errorf("%s is %s, %v", pragma, got, err)
		}
	}
	for name, query := range map[string]string{
		"a deep expression": "SELECT 1" + strings.Repeat(" + 1", 200),
		"many columns":      "SELECT 1" + strings.Repeat(", 1", 200),
		"many selects":      "SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 20),
		"a long statement":  "SELECT '" + strings.Repeat("x", 2<<20) + "'",
		"a large value":     "SELECT length(randomblob(17 << 20))",
	} {
		if _, err := ask(query); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	began := time.Now()
	_, err := ask("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c")
	if wantKind(t, err, core.KindUnavailable, "in time"); time.Since(began) > 20*time.Second {
		t.Errorf("it took %s", time.Since(began))
	}
	must(t, s.AddUser(t.Context(), storetest.NewUser(t, "a"))) // the store goes on
}
