package sqlite

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nkeys"
	"pgregory.net/rapid"

	"unibus/core"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

func collect(ctx context.Context, s *Store, t core.Table) (all []core.Row, err error) {
	for r, err := range s.Rows(ctx, t) {
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

type failer interface {
	Helper()
	Errorf(string, ...any)
}

// wantRows compares every table with the rows of a snapshot.
func wantRows(t failer, s *Store, want core.Snapshot) {
	t.Helper()
	for _, table := range core.Tables() {
		got, err := collect(context.Background(), s, table)
		if err != nil {
			t.Errorf("Rows of %s: %v", table, err)
		}
		if d := cmp.Diff(want.Rows(table), got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("Rows of %s (-want +got):\n%s", table, d)
		}
	}
}

func genUserID(t *rapid.T) core.UserID {
	seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
	b, err := nkeys.Encode(nkeys.PrefixByteUser, seed)
	if err != nil {
		t.Fatal(err)
	}
	return core.UserID(b)
}

// genSnapshot draws control planes that version 1 can hold.
func genSnapshot(t *rapid.T) core.Snapshot {
	name := rapid.Ptr(rapid.String(), true)
	bytes := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "null") {
			return nil
		}
		return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes")...)
	})
	millis := rapid.Custom(func(t *rapid.T) core.Millis { return core.Millis(rapid.Int64().Draw(t, "ms")) })
	var s core.Snapshot
	for _, id := range rapid.SliceOfNDistinct(rapid.Custom(genUserID), 1, 5, rapid.ID).Draw(t, "users") {
		s.Users = append(s.Users, core.User{
			ID: id, Name: name.Draw(t, "name"), Role: rapid.SampledFrom([]core.UserRole{core.RoleMember, core.RoleAdmin}).Draw(t, "role"),
			Status: rapid.SampledFrom([]core.UserStatus{core.UserActive, core.UserRevoked}).Draw(t, "status"),
			KEMKey: bytes.Draw(t, "kem"), Created: millis.Draw(t, "created"), Updated: millis.Draw(t, "updated"),
		})
	}
	someone := func(what string) core.UserID { return rapid.SampledFrom(s.Users).Draw(t, what).ID }
	roomID := rapid.StringMatching(`[aB0-][aB0_-]{0,2}`)
	for _, id := range rapid.SliceOfNDistinct(roomID, 0, 6, rapid.ID).Draw(t, "rooms") {
		r := core.Room{
			ID: core.RoomID(id), Name: name.Draw(t, "room name"), Owner: someone("owner"), Encrypted: rapid.Bool().Draw(t, "encrypted"),
			Epoch: core.Epoch(rapid.Uint64Range(0, 120).Draw(t, "epoch")), Rec: core.LegacyRec, State: core.RoomActive, Created: millis.Draw(t, "made"),
		}
		s.Rooms = append(s.Rooms, r)
		for _, u := range s.Users {
			if rapid.Bool().Draw(t, "member") {
				s.Members = append(s.Members, core.Member{
					Room: r.ID, User: u.ID, Role: core.MemberMember, State: core.MemberActive,
					InvitedBy: name.Draw(t, "invited"), Proof: bytes.Draw(t, "proof"), Joined: millis.Draw(t, "joined"),
				})
			}
			for _, epoch := range rapid.SliceOfNDistinct(rapid.Uint64Range(0, uint64(r.Epoch)), 0, 3, rapid.ID).Draw(t, "epochs") {
				s.Keys = append(s.Keys, core.SealedKey{
					Room: r.ID, Epoch: core.Epoch(epoch), Rec: core.LegacyRec, User: u.ID,
					Box: append([]byte{}, bytes.Draw(t, "box")...), SealedBy: name.Draw(t, "sealed"), Created: millis.Draw(t, "at"),
				})
			}
		}
	}
	s.Sort()
	return s
}

// TestAnySnapshotComesBack: import, export, rows and problems agree on every control plane, value for value.
func TestAnySnapshotComesBack(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	rapid.Check(t, func(rt *rapid.T) {
		must(t, raw(t, s.Path(), "DELETE FROM users; DELETE FROM rooms; DELETE FROM members; DELETE FROM room_keys"))
		want := genSnapshot(rt)
		if _, err := s.Import(context.Background(), want); err != nil {
			rt.Fatal(err)
		}
		got, err := storetest.Export(context.Background(), s)
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Errorf("Export (-want +got):\n%s", d)
		}
		wantRows(rt, s, want)
		if problems, err := s.Problems(context.Background(), 0); err != nil || len(problems) > 0 {
			rt.Errorf("Problems: %v, %v", problems, err)
		}
		if n, err := s.Import(context.Background(), want); err != nil || n != 0 {
			rt.Errorf("a second Import wrote %d, %v", n, err)
		}
	})
}

func TestRowsStopAndNest(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	in := storetest.TwoRooms(t)
	_, err := s.Import(t.Context(), in)
	must(t, err)
	for r, err := range s.Rows(t.Context(), core.TableUsers) {
		must(t, err)
		must(t, s.AddUser(t.Context(), storetest.NewUser(t, "added meanwhile"))) // and is not waited for
		if r.Key != string(in.Users[0].ID) {
			t.Errorf("first key %s", r.Key)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = collect(ctx, s, core.TableUsers)
	wantKind(t, err, core.KindUnavailable)
	_, err = collect(t.Context(), s, "else")
	wantKind(t, err, core.KindInvalid, "else")
	must(t, s.Close())
	_, err = collect(t.Context(), s, core.TableUsers)
	wantKind(t, err, core.KindUnavailable, "closed")
}

// TestProblems damages one row at a time.
func TestProblems(t *testing.T) {
	t.Parallel()
	in := storetest.TwoRooms(t)
	owner, stranger := in.Rooms[1].Owner, storetest.NewUserID(t)
	user, last := string(in.Users[0].ID), string(in.Users[3].ID)
	key := string(in.Keys[0].User)
	for _, c := range []struct {
		name, sql string
		table     core.Table
		key, text string
		convert   bool // the row by itself can be converted
	}{
		{"two spellings", "INSERT INTO users SELECT lower(id), name, role, status, kem_key, 1, 1 FROM users WHERE id = '" + user + "'", "users", strings.ToLower(user), "only in case", false},
		{"not an nkey", "INSERT INTO users VALUES ('bob', NULL, 'member', 'active', NULL, 1, 1)", "users", "bob", "not a user's public nkey", false},
		{"no id", "INSERT INTO users VALUES (NULL, NULL, 'member', 'active', NULL, 1, 1)", "users", "NULL", "its id is NULL", false},
		{"role", "UPDATE users SET role = 'king' WHERE id = '" + last + "'", "users", last, `role "king"`, false},
		{"status", "UPDATE users SET status = 'Active' WHERE id = '" + user + "'", "users", user, `status "Active"`, false},
		{"status NULL", "UPDATE users SET status = NULL WHERE id = '" + user + "'", "users", user, "status is NULL", false},
		{"time NULL", "UPDATE users SET created_at = NULL WHERE id = '" + user + "'", "users", user, "created_at is NULL", false},
		{"time REAL", "UPDATE users SET updated_at = 1.5 WHERE id = '" + user + "'", "users", user, "updated_at has the type REAL", false},
		{"time TEXT", "UPDATE users SET updated_at = 'today' WHERE id = '" + user + "'", "users", user, "updated_at has the type TEXT", false},
		{"blob in TEXT", "UPDATE users SET name = X'00ff' WHERE id = '" + user + "'", "users", user, "name has the type BLOB", false},
		{"text in BLOB", "UPDATE users SET kem_key = 'abc' WHERE id = '" + user + "'", "users", user, "kem_key has the type TEXT", false},
		{"not UTF-8", "UPDATE users SET name = CAST(X'ff' AS TEXT) WHERE id = '" + user + "'", "users", user, "name is not UTF-8", false},
		{"too large", "UPDATE users SET kem_key = zeroblob(800000) WHERE id = '" + user + "'", "users", user, "more than the", true},
		{"room id", "INSERT INTO rooms VALUES ('_x', NULL, '" + user + "', 0, 0, 1)", "rooms", "_x", "not a room's id", false},
		{"room with a dot", "INSERT INTO rooms VALUES ('a.b', NULL, '" + user + "', 0, 0, 1)", "rooms", "a.b", "not a room's id", false},
		{"room with a NUL", "INSERT INTO rooms VALUES (CAST(X'610062' AS TEXT), NULL, '" + user + "', 0, 0, 1)", "rooms", "a\uFFFDb", "not a room's id", false},
		{"encrypted", "UPDATE rooms SET encrypted = 2 WHERE id = 'a'", "rooms", "a", "neither 0 nor 1", false},
		{"encrypted NULL", "UPDATE rooms SET encrypted = NULL WHERE id = 'a'", "rooms", "a", "encrypted is NULL", false},
		{"epoch", "UPDATE rooms SET epoch = -1 WHERE id = 'a'", "rooms", "a", "negative", false},
		{"epoch TEXT", "UPDATE rooms SET epoch = 'two' WHERE id = 'a'", "rooms", "a", "epoch has the type TEXT", false},
		{"owner", "UPDATE rooms SET owner = '" + string(stranger) + "' WHERE id = 'a'", "rooms", "a", "is not a user", true},
		{"owner NULL", "UPDATE rooms SET owner = NULL WHERE id = 'a'", "rooms", "a", "owner is NULL", false},
		{"member of no room", "INSERT INTO members VALUES ('q', '" + user + "', 'member', NULL, NULL, 1)", "members", "q." + user, "its room q is not there", true},
		{"member no user", "INSERT INTO members VALUES ('a', '" + string(stranger) + "', 'member', NULL, NULL, 1)", "members", "a." + string(stranger), "is not there", true},
		{"member twice", "INSERT INTO members SELECT room_id, lower(user_id), role, NULL, NULL, 1 FROM members WHERE room_id = 'a-b' AND user_id = '" + string(owner) + "'", "members", "a-b." + strings.ToLower(string(owner)), "only in case", false},
		{"member role", "UPDATE members SET role = 'boss' WHERE room_id = 'a-b' AND user_id = '" + user + "'", "members", "a-b." + user, `role "boss"`, false},
		{"invited_by", "UPDATE members SET invited_by = CAST(X'c328' AS TEXT) WHERE room_id = 'a-b' AND user_id = '" + user + "'", "members", "a-b." + user, "invited_by is not UTF-8", false},
		{"key of no room", "INSERT INTO room_keys VALUES ('q', 0, '" + user + "', X'00', NULL, 1)", "room_keys", "q.0.0." + user, "its room q is not there", true},
		{"key of no user", "INSERT INTO room_keys VALUES ('a', 0, '" + string(stranger) + "', X'00', NULL, 1)", "room_keys", "a.0.0." + string(stranger), "is not there", true},
		{"key above", "INSERT INTO room_keys VALUES ('a-b', 3, '" + user + "', X'00', NULL, 1)", "room_keys", "a-b.3.0." + user, "above that of its room", true},
		{"key negative", "INSERT INTO room_keys VALUES ('a-b', -3, '" + user + "', X'00', NULL, 1)", "room_keys", "a-b.-3.0." + user, "negative", false},
		{"no box", "UPDATE room_keys SET box = NULL WHERE epoch = 0 AND user_id = '" + key + "'", "room_keys", "a-b.0.0." + key, "box is NULL", false},
		{"large box", "UPDATE room_keys SET box = zeroblob(790000) WHERE epoch = 0 AND user_id = '" + key + "'", "room_keys", "a-b.0.0." + key, "more than the", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := dbPath(t)
			s := create(t, path)
			_, err := s.Import(t.Context(), in)
			must(t, err)
			must(t, raw(t, path, c.sql))
			got, err := s.Problems(t.Context(), 0)
			must(t, err)
			if len(got) != 1 || got[0].Table != c.table || got[0].Key != c.key || !strings.Contains(got[0].Text, c.text) {
				t.Fatalf("problems %+v\nwant one: %s %s %q", got, c.table, c.key, c.text)
			}
			rows, err := collect(t.Context(), s, c.table)
			if (err == nil) != c.convert {
				t.Errorf("Rows: %d rows, %v", len(rows), err)
			}
			_, statement, found := strings.Cut(got[0].Next, ": ")
			if !found || !strings.Contains(got[0].Next, "node stopped") {
				t.Fatalf("Next %q has no statement", got[0].Next)
			}
			must(t, raw(t, path, strings.NewReplacer("'…'", "NULL", "…", "NULL").Replace(statement))) // … is what a person fills in
			if left, err := s.Problems(t.Context(), 0); err != nil || strings.HasPrefix(statement, "DELETE") && len(left) > len(dependants(left)) {
				t.Errorf("after %q: %+v, %v", statement, left, err)
			}
		})
	}
}

// dependants are problems that come from having deleted a row that others named.
func dependants(all []core.Problem) []core.Problem {
	return slices.DeleteFunc(slices.Clone(all), func(p core.Problem) bool {
		return !strings.Contains(p.Text, "is not there") && !strings.Contains(p.Text, "is not a user")
	})
}

func TestProblemsLimit(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	_, err := s.Import(t.Context(), storetest.TwoRooms(t))
	must(t, err)
	must(t, raw(t, path, "UPDATE users SET role = NULL, status = 7, created_at = 'x'"))
	for limit, want := range map[int]int{0: 12, 5: 5, 100: 12} {
		if got, err := s.Problems(t.Context(), limit); err != nil || len(got) != want {
			t.Errorf("limit %d: %d problems, %v", limit, len(got), err)
		}
	}
	_, err = storetest.Export(t.Context(), s)
	wantKind(t, err, core.KindFailed, "users", "role is NULL")
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s, other := create(t, path), create(t, dbPath(t))
	in := storetest.TwoRooms(t)
	seen := map[string]bool{}
	fresh := func(want bool) {
		t.Helper()
		sum, err := s.Fingerprint(t.Context())
		must(t, err)
		if seen[sum] == want {
			t.Errorf("fingerprint %s seen: %v", sum, seen[sum])
		}
		seen[sum] = true
	}
	fresh(true)
	_, err := s.Import(t.Context(), in)
	must(t, err)
	fresh(true)
	fresh(false)
	must(t, raw(t, path, "UPDATE users SET name = '' WHERE name IS NULL"))
	fresh(true)
	must(t, raw(t, path, "UPDATE users SET role = 'king'"))
	fresh(true)
	sum, err := other.Fingerprint(t.Context())
	if err != nil || !seen[sum] {
		t.Errorf("two empty files differ: %v", err)
	}
}

func TestIntegrity(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	_, err := s.Import(t.Context(), storetest.TwoRooms(t))
	must(t, err)
	must(t, s.Integrity(t.Context()))
	must(t, s.Close())
	good, err := os.ReadFile(path)
	must(t, err)
	for name, damage := range map[string]func(path string) error{
		"a table that is another": func(path string) error {
			return raw(t, path, "PRAGMA writable_schema=1; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'room_keys'")
		},
		"an index without a user": func(path string) error {
			return hostile.StaleIndex(path, hostile.RenameRevoked)
		},
	} {
		path := dbPath(t)
		must(t, os.WriteFile(path, good, 0o600))
		must(t, damage(path))
		err := New(Config{Path: path}).Open(t.Context())
		if wantKind(t, err, core.KindFailed, "damaged"); t.Failed() {
			t.Error(name)
		}
	}
}

// TestIntegrityOfIndexes: a reader of a file alone asks for the check of its indexes.
func TestIntegrityOfIndexes(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	must(t, os.WriteFile(path, hostile.GenuineFile("version1"), 0o600))
	must(t, hostile.StaleIndex(path, hostile.RenameRevoked))
	wantKind(t, New(Config{Path: path}).Open(t.Context()), core.KindFailed, "damaged")
	s := opened(t, Config{Path: path, ReadOnly: true})
	wantKind(t, s.Integrity(t.Context()), core.KindFailed, "damaged")
}
