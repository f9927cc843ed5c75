package sqlite

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"unibus/core"
	"unibus/core/store/sqlite/hostile"
)

// withoutKeys are statements that take the primary keys from a file of version 1.
func withoutKeys() (all []string) {
	for _, t := range []struct{ name, columns string }{
		{"users", "id TEXT, name TEXT, role TEXT, status TEXT, kem_key BLOB, created_at INTEGER, updated_at INTEGER"},
		{"rooms", "id TEXT, name TEXT, owner TEXT, encrypted INTEGER, epoch INTEGER, created_at INTEGER"},
		{"members", "room_id TEXT, user_id TEXT, role TEXT, invited_by TEXT, proof BLOB, joined_at INTEGER"},
		{"room_keys", "room_id TEXT, epoch INTEGER, user_id TEXT, box BLOB, sealed_by TEXT, created_at INTEGER"},
	} {
		all = append(all, hostile.Rebuilt(t.name, "CREATE TABLE "+t.name+"("+t.columns+")")...)
	}
	return all
}

// changedBy runs the repair that a problem prints on the file, gives back how many rows that changed, and undoes it.
func changedBy(t failer, path string, p core.Problem, value string) (said string, n int64) {
	t.Helper()
	_, rest, found := strings.Cut(p.Next, ": ")
	statement, said, counted := strings.Cut(rest, "; -- ")
	if !found || !counted {
		t.Errorf("%s has no statement that says how many rows it changes", p.Next)
		return "", 0
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(2000)")
	if err != nil {
		t.Errorf("%v", err)
		return "", 0
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		t.Errorf("%v", err)
		return "", 0
	}
	defer func() { _ = tx.Rollback() }()
	r, err := tx.Exec(strings.NewReplacer("'…'", value, "…", value).Replace(statement))
	if err != nil {
		t.Errorf("%s: %v", statement, err)
		return said, 0
	}
	n, err = r.RowsAffected()
	if err != nil {
		t.Errorf("%v", err)
	}
	return said, n
}

// TestDuplicatesAreRepairedOneByOne: of a row that is there twice in a table without a primary key the printed
// repair deletes one, and the file is whole afterwards.
func TestDuplicatesAreRepairedOneByOne(t *testing.T) {
	t.Parallel()
	path := spoiled(t, hostile.GenuineFile("version1"), withoutKeys()...)
	must(t, raw(t, path, "INSERT INTO users SELECT * FROM users WHERE rowid = 1", "INSERT INTO rooms SELECT * FROM rooms WHERE rowid = 1",
		"INSERT INTO members SELECT * FROM members WHERE rowid = 1", "INSERT INTO room_keys SELECT * FROM room_keys WHERE rowid = 1"))
	s := opened(t, Config{Path: path})
	problems, err := s.Problems(t.Context(), 0)
	must(t, err)
	if len(problems) != 4 {
		t.Fatalf("%+v", problems)
	}
	for _, p := range problems {
		if said, n := changedBy(t, path, p, "NULL"); said != "1 row" || n != 1 || !strings.Contains(p.Text, "it is there twice, in the rows 1 and") {
			t.Errorf("%s %s: says %q and changes %d: %s", p.Table, p.Text, said, n, p.Next)
		}
		_, statement, _ := strings.Cut(p.Next, ": ")
		must(t, raw(t, path, statement))
	}
	if left, err := s.Problems(t.Context(), 0); err != nil || len(left) > 0 {
		t.Errorf("%+v, %v", left, err)
	}
}

// TestWhichRowCountsIsAsked: while a row is there twice nobody is admitted by one of them.
func TestWhichRowCountsIsAsked(t *testing.T) {
	t.Parallel()
	path := spoiled(t, hostile.GenuineFile("version1"), withoutKeys()...)
	s := opened(t, Config{Path: path})
	users, err := s.Users(t.Context())
	must(t, err)
	rooms, err := s.Rooms(t.Context())
	must(t, err)
	must(t, raw(t, path, "INSERT INTO users SELECT * FROM users", "INSERT INTO rooms SELECT * FROM rooms"))
	_, err = s.Admit(t.Context(), users[0].ID)
	wantKind(t, err, core.KindFailed, "more than once")
	_, err = s.Room(t.Context(), rooms[0].ID)
	wantKind(t, err, core.KindFailed, "more than once")
}

// TestEveryRepairChangesOneRow: in files with any cells, with and without primary keys, each repair that is
// printed changes exactly the number of rows that it says, which is one.
func TestEveryRepairChangesOneRow(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"keys": hostile.GenuineFile("version1"), "version 2": hostile.GenuineFile("version2")}
	keyless, err := os.ReadFile(spoiled(t, hostile.GenuineFile("version1"), withoutKeys()...))
	must(t, err)
	files["no keys"] = keyless
	cells := []string{
		"NULL", "''", "'x'", "'it''s'", "X''", "X'00FF'", "0", "-1", "1", "9223372036854775807", "-9223372036854775808", "1.5", "9e999", "1e19",
		"CAST(X'FF' AS TEXT)", "CAST(X'610062' AS TEXT)", "char(27, 91, 50, 74)", "'\u00e9'", "'e\u0301'", "zeroblob(1100000)", "printf('%1100000d', 1)", "upper(id)", "lower(id)",
	}
	columns := map[string][]string{}
	for _, table := range []string{"users", "rooms", "members", "room_keys"} {
		l, _ := layoutOf(legacyVersion)
		for _, t := range l.tables {
			if string(t.name) == table {
				columns[table] = t.columns
			}
		}
	}
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprintf("%d.db", n))
		must(t, os.WriteFile(path, files[rapid.SampledFrom([]string{"keys", "no keys", "version 2"}).Draw(rt, "file")], 0o600))
		defer func() { _ = os.Remove(path) }()
		must(t, raw(t, path, "PRAGMA journal_mode=DELETE"))
		for range rapid.IntRange(1, 4).Draw(rt, "damages") {
			table := rapid.SampledFrom([]string{"users", "rooms", "members", "room_keys"}).Draw(rt, "table")
			column := rapid.SampledFrom(columns[table]).Draw(rt, "column")
			cell := rapid.SampledFrom(cells).Draw(rt, "cell")
			which := rapid.SampledFrom([]string{"rowid = 1", "rowid <= 2", "1"}).Draw(rt, "rows")
			if strings.Contains(cell, "(id)") {
				cell = strings.ReplaceAll(cell, "id", column)
			}
			_ = raw(t, path, fmt.Sprintf("UPDATE OR IGNORE %s SET %s = %s WHERE %s", table, column, cell, which))
			if rapid.Bool().Draw(rt, "twice") {
				_ = raw(t, path, fmt.Sprintf("INSERT OR IGNORE INTO %s SELECT * FROM %s WHERE %s", table, table, which))
			}
		}
		s := New(Config{Path: path})
		must(t, s.Open(t.Context()))
		defer func() { must(t, s.Close()) }()
		problems, err := s.Problems(t.Context(), 60)
		must(t, err)
		for _, p := range problems {
			if said, n := changedBy(rt, path, p, "NULL"); said != "1 row" || n != 1 {
				rt.Errorf("%s %s: says %q and changes %d: %s", p.Key, p.Text, said, n, p.Next)
			}
		}
	})
}

// TestNoRepairForTwoRows: an error of a reader, which has no row numbers, prints a repair only if that changes one row.
func TestNoRepairForTwoRows(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"no key":   spoiled(t, hostile.GenuineFile("version1"), append(withoutKeys(), "UPDATE users SET role = 'king' WHERE rowid = 1", "INSERT INTO users SELECT * FROM users WHERE rowid = 1")...),
		"NULL key": spoiled(t, hostile.GenuineFile("version1"), "INSERT INTO users SELECT NULL, name, role, status, kem_key, created_at, updated_at FROM users LIMIT 2"),
	} {
		_, err := opened(t, Config{Path: path}).Users(t.Context())
		if wantKind(t, err, core.KindFailed, "cannot be used"); strings.Contains(core.AsError(err).Next, "UPDATE") {
			t.Errorf("%s: %s", name, core.AsError(err).Next)
		}
		if next := core.AsError(err).Next; !strings.Contains(next, "migrate-to-kv") {
			t.Errorf("%s: %s", name, next)
		}
	}
}
