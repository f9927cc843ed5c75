// Package hostile makes database files that are not what they claim to be, for
// tests of what opens them: only here and in store/sqlite is there SQL.
package hostile

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// File is one way to spoil a whole database of unibus.
type File struct {
	Name string
	SQL  []string // run one after the other, as a program would that knows nothing of unibus
}

// Spoil runs statements on a file as another program would, for ten seconds at the most.
func Spoil(path string, statements ...string) error {
	return SpoilWithin(10*time.Second, path, statements...)
}

// SpoilWithin is Spoil with another limit.
func SpoilWithin(limit time.Duration, path string, statements ...string) error {
	q := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(2000)", "synchronous(0)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, st := range statements {
		if _, err := db.ExecContext(ctx, st); err != nil {
			return fmt.Errorf("%s: %w", st, err)
		}
	}
	return nil
}

// Hold holds the write lock of a file while f runs, as another program would.
func Hold(ctx context.Context, path string, f func()) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "_txlock=immediate"}).String())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	f()
	return tx.Rollback()
}

// Rebuilt replaces a table by one of another declaration that holds the same rows.
func Rebuilt(table, declaration string) []string {
	return []string{
		"ALTER TABLE " + table + " RENAME TO old_rows",
		declaration,
		"INSERT INTO " + table + " SELECT * FROM old_rows",
		"DROP TABLE old_rows",
	}
}

const endless = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c)"

const usersColumns = "id TEXT PRIMARY KEY, name TEXT, role TEXT, status TEXT, kem_key BLOB, created_at INTEGER, updated_at INTEGER"

func users(columns, tail string) []string {
	return Rebuilt("users", "CREATE TABLE users("+columns+")"+tail)
}

func usersWith(old, changed string) []string {
	return users(strings.Replace(usersColumns, old, changed, 1), "")
}

func rewritten(update string) []string {
	return []string{"PRAGMA writable_schema=1", update}
}

// Schemas are files whose schema is not exactly that of unibus; each starts from a
// whole one of schema version 1.
func Schemas() []File {
	const view = " AS SELECT upper(id) AS id, name, 'admin' AS role, 'active' AS status, kem_key, created_at, updated_at FROM old_users"
	return []File{
		{"a trigger takes a revocation back", []string{"CREATE TRIGGER t AFTER UPDATE ON users BEGIN UPDATE users SET status = 'active' WHERE id = NEW.id; END"}},
		{"a trigger makes new users admins", []string{"CREATE TRIGGER t AFTER INSERT ON users BEGIN UPDATE users SET role = 'admin' WHERE id = NEW.id; END"}},
		{"a trigger ignores a revocation", []string{"CREATE TRIGGER t BEFORE UPDATE ON users BEGIN SELECT RAISE(IGNORE); END"}},
		{"a trigger with the name of a fence", []string{"CREATE TRIGGER unibus_fence_users_update AFTER UPDATE ON users BEGIN UPDATE users SET status = 'active' WHERE id = NEW.id; END"}},
		{"a trigger with the name of the log of changes", []string{"CREATE TRIGGER unibus_track_users_after_update AFTER UPDATE ON users BEGIN UPDATE users SET status = 'active' WHERE id = NEW.id; END"}},
		{"a view in the place of users", []string{"ALTER TABLE users RENAME TO old_users", "CREATE VIEW users" + view}},
		{"an endless view in the place of users", []string{"DROP TABLE users", "CREATE VIEW users AS " + endless +
			" SELECT 'U' || i AS id, NULL AS name, 'member' AS role, 'active' AS status, NULL AS kem_key, 1 AS created_at, 1 AS updated_at FROM c WHERE i < 0"}},
		{"a view over an endless one", []string{"CREATE VIEW endless AS " + endless + " SELECT i FROM c", "CREATE VIEW more AS SELECT count(*) FROM endless"}},
		{"a view with the name of a pragma", []string{"CREATE VIEW pragma_table_info AS " + endless + " SELECT 'id' AS name, i FROM c"}},
		{"a generated column", users("id TEXT PRIMARY KEY, name TEXT, role TEXT, status TEXT, kem_key BLOB, created_at INTEGER, updated_at INTEGER, more TEXT AS ('x')", "")[:2]},
		{"a generated status", []string{"ALTER TABLE users RENAME COLUMN status TO hidden", "ALTER TABLE users ADD COLUMN status TEXT AS ('active')"}},
		{"a CHECK", usersWith("status TEXT", "status TEXT CHECK (status <> 'gone')")},
		{"a DEFAULT", usersWith("role TEXT", "role TEXT DEFAULT 'admin'")},
		{"a DEFAULT that is an expression", usersWith("role TEXT", "role TEXT DEFAULT (upper('admin'))")},
		{"a collation", usersWith("id TEXT PRIMARY KEY", "id TEXT PRIMARY KEY COLLATE NOCASE")},
		{"a conflict clause", usersWith("id TEXT PRIMARY KEY", "id TEXT PRIMARY KEY ON CONFLICT IGNORE")},
		{"another affinity", usersWith("created_at INTEGER", "created_at REAL")},
		{"a foreign key", usersWith("name TEXT", "name TEXT REFERENCES rooms(id) ON DELETE CASCADE")},
		{"no rowid", users(usersColumns, " WITHOUT ROWID")},
		{"STRICT", users(usersColumns, " STRICT")},
		{"no table of members", []string{"DROP TABLE members"}},
		{"an index", []string{"CREATE INDEX i ON users(status)"}},
		{"a unique index", []string{"CREATE UNIQUE INDEX i ON users(name)"}},
		{"an index on an expression", []string{"CREATE INDEX i ON users(upper(id))"}},
		{"a partial index", []string{"CREATE INDEX i ON users(id) WHERE status = 'active'"}},
		{"a virtual table", []string{"CREATE VIRTUAL TABLE v USING fts5(x)"}},
		{"statistics", []string{"ANALYZE"}},
		{"a sequence", []string{"CREATE TABLE s(i INTEGER PRIMARY KEY AUTOINCREMENT)", "INSERT INTO s VALUES (7)", "DROP TABLE s"}},
		{"a table of the same name in capitals", rewritten("INSERT INTO sqlite_schema SELECT type, 'USERS', 'USERS', rootpage, 'CREATE TABLE USERS(id TEXT, name TEXT)' FROM sqlite_schema WHERE name = 'rooms'")},
		{"the same table twice", rewritten("INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = 'rooms'")},
		{"users without its index", rewritten("DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_users_1'")},
		{"users that are the rooms", rewritten("UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'rooms') WHERE name = 'users'")},
		{"users that are the schema", rewritten("UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'users'")},
		{"an index of another table", rewritten("UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_rooms_1') WHERE name = 'sqlite_autoindex_users_1'")},
		{"a declaration of a deep expression", rewritten("UPDATE sqlite_schema SET sql = 'CREATE TABLE rooms(id TEXT DEFAULT (" + strings.Repeat("(", 900) + "1" + strings.Repeat(")", 900) + "))' WHERE name = 'rooms'")},
		{"a declaration of a megabyte", rewritten("UPDATE sqlite_schema SET sql = 'CREATE TABLE rooms(id TEXT /*" + strings.Repeat("x", 1<<20) + "*/)' WHERE name = 'rooms'")},
		{"a comment", rewritten("UPDATE sqlite_schema SET sql = replace(sql, 'name TEXT', 'name /* x */ TEXT') WHERE name = 'rooms'")},
		{"user_version 0", []string{"PRAGMA user_version=0"}},
		{"user_version -1", []string{"PRAGMA user_version=-1"}},
		{"user_version 99", []string{"PRAGMA user_version=99"}},
		{"user_version 2 of a file of version 1", []string{"PRAGMA user_version=2"}},
		{"user_version 1099", []string{"PRAGMA user_version=1099"}},
		{"another application", []string{"PRAGMA application_id=0"}},
	}
}

// Surplus are files that hold more than unibus keeps, and nothing in it runs; each
// starts from a whole one of schema version 1.
func Surplus() []File {
	return []File{
		{"one column more", []string{"ALTER TABLE members ADD COLUMN more TEXT"}},
		{"another table", []string{"CREATE TABLE more(x)"}},
		{"a column with a fallback", []string{"ALTER TABLE users ADD COLUMN score INTEGER NOT NULL DEFAULT -1"}},
		{"a column whose name needs quotes", []string{`ALTER TABLE users ADD COLUMN "a ""b"" WHERE 1; --" VARCHAR(10, 2)`}},
		{"a column with the name of the row numbers", []string{
			"ALTER TABLE users RENAME TO old_rows",
			"CREATE TABLE users(rowid TEXT, " + usersColumns + ", _rowid_ TEXT)", "INSERT INTO users SELECT 'x', *, 'y' FROM old_rows", "DROP TABLE old_rows",
		}},
		{"a table with keys and indexes", []string{
			"CREATE TABLE log(id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, what TEXT UNIQUE)",
			"CREATE INDEX log_at ON log(at)", "CREATE TABLE pairs(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID", "INSERT INTO log(what) VALUES ('x')",
		}},
		{"names in capitals", append(Rebuilt("users", "CREATE TABLE Users(ID TEXT PRIMARY KEY, Name TEXT, ROLE text, status TEXT, kem_key BLOB, created_at INTEGER, updated_at INTEGER)"),
			Rebuilt("rooms", "CREATE TABLE `ROOMS`([Id] TEXT, \"name\" TEXT, owner TEXT, encrypted INTEGER, epoch integer, created_at INTEGER, PRIMARY KEY('ID'))")...)},
		{"no primary key", append(users(strings.Replace(usersColumns, " PRIMARY KEY", "", 1), ""),
			Rebuilt("room_keys", "CREATE TABLE room_keys(room_id TEXT, epoch INTEGER, user_id TEXT, box BLOB, sealed_by TEXT, created_at INTEGER)")...)},
	}
}

// UTF16 writes a database of schema version 1 whose text is in UTF-16, which sorts otherwise.
func UTF16(path string, schema ...string) error {
	all := append([]string{"PRAGMA encoding='UTF-16le'"}, schema...)
	return Spoil(path, append(all, "PRAGMA application_id=0x554E4942", "PRAGMA user_version=1")...)
}

// RenameRevoked changes the last letter of the ids of revoked users, whichever it is.
const RenameRevoked = "UPDATE users SET id = substr(id, 1, 55) || CASE substr(id, 56) WHEN 'A' THEN 'B' ELSE 'A' END WHERE status = 'revoked'"

// StaleIndex changes the users and not their primary key's index, which then
// answers for rows as they were: a search by id does not find a revoked user. It is
// an error if the index is still right.
func StaleIndex(path string, statements ...string) error {
	err := Spoil(path, "PRAGMA journal_mode=DELETE", "PRAGMA writable_schema=1",
		"CREATE TABLE keep AS SELECT * FROM sqlite_schema WHERE tbl_name = 'users'",
		"UPDATE sqlite_schema SET sql = replace(sql, ' PRIMARY KEY', '') WHERE name = 'users'",
		"DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_users_1'")
	if err == nil {
		err = Spoil(path, statements...)
	}
	if err == nil {
		err = Spoil(path, "PRAGMA writable_schema=1",
			"UPDATE sqlite_schema SET sql = (SELECT sql FROM keep WHERE name = 'users') WHERE name = 'users'",
			"INSERT INTO sqlite_schema SELECT * FROM keep WHERE name = 'sqlite_autoindex_users_1'", "DROP TABLE keep")
	}
	if err != nil {
		return err
	}
	return requireDamage(path)
}

// requireDamage is an error if SQLite finds nothing wrong with a file.
func requireDamage(path string) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro"}).String())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var said string
	if err := db.QueryRow("PRAGMA integrity_check(1)").Scan(&said); err != nil {
		return err
	}
	if said == "ok" {
		return fmt.Errorf("%s was to be damaged, and SQLite finds nothing wrong with it", path)
	}
	return nil
}
