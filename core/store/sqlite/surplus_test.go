package sqlite

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// TestSurplusIsServed: a file has more than unibus keeps, or declares it in other ways that SQLite does not tell apart. It
// is served, changed, backed up and migrated as one without, and keeps all of its data.
func TestSurplusIsServed(t *testing.T) {
	t.Parallel()
	for _, f := range hostile.Surplus() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			plain := opened(t, Config{Path: spoiled(t, hostile.GenuineFile("version1"))})
			s := opened(t, Config{Path: spoiled(t, hostile.GenuineFile("version1"), f.SQL...)})
			want, err := storetest.Export(t.Context(), plain)
			must(t, err)
			wantRows(t, s, want)
			if p, err := s.Problems(t.Context(), 0); err != nil || len(p) > 0 {
				t.Errorf("%v, %v", p, err)
			}
			must(t, s.Track(t.Context()))
			must(t, s.AddUser(t.Context(), storetest.NewUser(t, "new")))
			for _, change := range []struct {
				what string
				do   func() error
			}{
				{"revoke", func() error {
					_, err := s.SetUserStatus(t.Context(), want.Users[0].ID, core.UserRevoked, 9)
					return err
				}},
				{"add a member", func() error { return s.PutMember(t.Context(), storetest.NewMember(want.Rooms[0].ID, want.Users[0].ID)) }},
				{"fence", func() error { return s.Fence(t.Context()) }},
				{"lift", func() error { return opened(t, Config{Path: s.Path(), AllowFenced: true}).Lift(t.Context()) }},
				{"untrack", func() error { return s.Untrack(t.Context()) }},
				{"archive", func() error {
					_, err := s.UpdateRoom(t.Context(), want.Rooms[0].ID, core.RoomChange{State: core.RoomArchived})
					return err
				}},
				{"give an end", func() error {
					_, err := s.SetUserExpiry(t.Context(), want.Users[0].ID, storetest.Start, 9)
					return err
				}},
				{"integrity", func() error { return s.Integrity(t.Context()) }},
			} {
				if err := change.do(); err != nil {
					t.Fatalf("%s: %v", change.what, err)
				}
			}
			again := opened(t, Config{Path: s.Path()})
			got, err := storetest.Export(t.Context(), again)
			must(t, err)
			wantRows(t, again, got)
			before, err := s.Leftovers(t.Context())
			must(t, err)
			info, err := s.Backup(t.Context(), dbPath(t))
			must(t, err)
			after, err := opened(t, Config{Path: info.Path, Backup: true}).Leftovers(t.Context())
			must(t, err)
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("the backup holds something else:\n%s", d)
			}
		})
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{Path: spoiled(t, hostile.GenuineFile("version1"),
		"ALTER TABLE users ADD COLUMN Note TEXT", "ALTER TABLE rooms ADD COLUMN unused TEXT", "UPDATE users SET note = 'x' WHERE rowid <= 2",
		"CREATE TABLE More(x)", "INSERT INTO more VALUES (NULL), (1)", "CREATE TABLE empty(x)")})
	got, err := s.Leftovers(t.Context())
	must(t, err)
	want := []core.Leftover{{Table: "users", Column: "Note", Rows: 2}, {Table: "rooms", Column: "unused"}, {Table: "empty"}, {Table: "More", Rows: 2}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	left := core.Unignored(got, []string{"USERS.note"})
	if len(left) != 1 || left[0].Name() != "More" {
		t.Errorf("%v", left)
	}
	must(t, core.CheckIgnored(got, []string{"USERS.note", "more", "empty"}))
	wantKind(t, core.CheckIgnored(got, []string{"users"}), core.KindInvalid, `"users"`)
	wantKind(t, core.CheckIgnored(nil, []string{"x"}), core.KindInvalid)
}

// TestNamesInTheWay: a column of another program does not become one of ours.
func TestNamesInTheWay(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"ALTER TABLE rooms ADD COLUMN State TEXT", "CREATE TABLE epoch_records(x)"} {
		s := opened(t, Config{Path: spoiled(t, hostile.GenuineFile("version1"), sql)})
		_, err := s.UpdateRoom(t.Context(), "a", core.RoomChange{State: core.RoomArchived})
		wantKind(t, err, core.KindRefused, "did not make")
		if s.SchemaVersion() != 1 {
			t.Errorf("version %d", s.SchemaVersion())
		}
	}
}

func TestDeclarationsThatRun(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"CREATE TABLE t(a, CHECK (a > 0))", "CREATE TABLE t(a CHECK (1))", "CREATE TABLE t(a AS (1))", "CREATE TABLE t(a GENERATED ALWAYS AS (1) STORED)",
		"CREATE TABLE t(a DEFAULT (random()))", "CREATE TABLE t(a DEFAULT \"x\")", "CREATE TABLE t(a DEFAULT x)", "CREATE TABLE t(a COLLATE mine)",
		"CREATE TABLE t(a REFERENCES users(id) ON DELETE CASCADE)", "CREATE TABLE t(a, FOREIGN KEY(a) REFERENCES users(id))", "CREATE TABLE t(a /* x */)",
		"CREATE TABLE t(a -- x\n)", "CREATE TABLE t(a) AS SELECT 1", "CREATE TABLE t(a, A)", "CREATE TABLE t(a", "CREATE TABLE t()", "CREATE VIRTUAL TABLE t USING fts5(a)",
		"CREATE TABLE t(a UNIQUE ON CONFLICT REPLACE)", "CREATE TABLE t(a CONSTRAINT c NOT NULL)", "CREATE TABLE t(a TEXT(b))", "CREATE TABLE t('a)", "CREATE TEMP TABLE t(a)", "",
		"CREATE TABLE t(a " + strings.Repeat("x", maxDeclaration) + ")",
	} {
		if d, ok := parseTable(sql); ok {
			t.Errorf("%.80s passes: %+v", sql, d)
		}
	}
	for _, sql := range []string{"CREATE INDEX i ON t(a COLLATE x)", "CREATE INDEX i ON t(a+1)", "CREATE INDEX i ON t(a) WHERE 1", "CREATE INDEX i ON t(upper(a))", "CREATE TABLE t(a)"} {
		if _, ok := parseIndex(sql); ok {
			t.Errorf("%s passes", sql)
		}
	}
}

// TestOddTimes: a column of times that another unit makes sense of is counted, with an example.
func TestOddTimes(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	must(t, os.WriteFile(path, hostile.GenuineFile("version1"), 0o600))
	must(t, raw(t, path, "UPDATE users SET created_at = 1764288000000, updated_at = 0", "UPDATE rooms SET created_at = 1764288000000",
		"UPDATE members SET joined_at = 1764288000000000", "UPDATE room_keys SET created_at = 1764288000000000000",
		"UPDATE users SET created_at = 1764288000 WHERE rowid <= 2", "UPDATE users SET updated_at = -5 WHERE rowid = 1"))
	s := opened(t, Config{Path: path})
	found, err := s.OddTimes(t.Context())
	must(t, err)
	var got []string
	for _, o := range found {
		got = append(got, o.String())
	}
	n, err := s.Counts(t.Context())
	must(t, err)
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"users.created_at looks like seconds in 2 rows, and the column is for milliseconds: 1764288000 reads as 1970-01-21 10:04:48 UTC, and as seconds it is 2025-11-28 00:00:00 UTC",
		"users.updated_at lies before the year 2000 or after 2100 in 1 row: -5 reads as 1969-12-31 23:59:59 UTC",
		"members.joined_at looks like microseconds", "room_keys.created_at looks like nanoseconds", "and as nanoseconds it is 2025-11-28 00:00:00 UTC",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %q", text, want)
		}
	}
	if len(found) != 4 || found[2].Rows != n.Members || found[3].Rows != n.Keys {
		t.Errorf("%+v of %+v", found, n)
	}
}
