package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"unibus/core"
)

// What the header of our files says (DESIGN section 6).
const (
	applicationID = 0x554E4942 // "UNIB"
	schemaVersion = 1
	fenceStep     = 1000 // a fenced file's user_version is raised by this
)

const schema = `
CREATE TABLE users(id TEXT PRIMARY KEY, name TEXT, role TEXT, status TEXT, kem_key BLOB, created_at INTEGER, updated_at INTEGER);
CREATE TABLE rooms(id TEXT PRIMARY KEY, name TEXT, owner TEXT, encrypted INTEGER, epoch INTEGER, created_at INTEGER);
CREATE TABLE members(room_id TEXT, user_id TEXT, role TEXT, invited_by TEXT, proof BLOB, joined_at INTEGER, PRIMARY KEY(room_id, user_id));
CREATE TABLE room_keys(room_id TEXT, epoch INTEGER, user_id TEXT, box BLOB, sealed_by TEXT, created_at INTEGER, PRIMARY KEY(room_id, epoch, user_id));
`

// table is one table of the file: its columns in the order in which they are
// read, the columns that name a row, and the expression of the row's KV key.
type table struct {
	name    core.Table
	columns string
	primary string
	key     string
}

// The tables. A key is one expression, because '-' sorts before '.' and so the
// order of (room, user) is not the order of "room.user"; the concatenation has
// no collation of a column, so it is compared byte by byte.
var (
	usersTable   = table{core.TableUsers, "id, name, role, status, kem_key, created_at, updated_at", "id", "upper(id)"}
	roomsTable   = table{core.TableRooms, "id, name, owner, encrypted, epoch, created_at", "id", "id || ''"}
	membersTable = table{
		core.TableMembers, "room_id, user_id, role, invited_by, proof, joined_at", "room_id, user_id",
		"room_id || '.' || upper(user_id)",
	}
	keysTable = table{
		core.TableRoomKeys, "room_id, epoch, user_id, box, sealed_by, created_at", "room_id, epoch, user_id",
		"room_id || '.' || epoch || '.' || upper(user_id)",
	}
	tables = []table{usersTable, roomsTable, membersTable, keysTable}
)

// inKeyOrder reads everything in the order of the KV keys. All legacy keys
// have the same rec, so leaving it out of the order changes nothing.
func (t table) inKeyOrder() string { return t.all("ORDER BY " + t.key) }

func (t table) all(tail string) string {
	return fmt.Sprintf("SELECT %s FROM %s %s", t.columns, t.name, tail)
}

// querier is what *sql.DB, *sql.Conn and *sql.Tx have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func pragmaInt(ctx context.Context, q querier, name string) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, "PRAGMA "+name).Scan(&n)
	return n, err
}

// initialise gives an empty file its tables and its header, all in tx. A file
// that another process initialised meanwhile is left to verify.
func initialise(ctx context.Context, tx *sql.Tx) error {
	var objects int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil || objects > 0 {
		return err
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("%sPRAGMA application_id=%d; PRAGMA user_version=%d;", schema, applicationID, schemaVersion))
	return err
}

// verify refuses a file that is not one of ours, or of a version this program
// does not know, and returns the version without the fence.
func (s *Store) verify(ctx context.Context, q querier) (int, error) {
	id, err := pragmaInt(ctx, q, "application_id")
	if err != nil {
		return 0, err
	}
	version, err := pragmaInt(ctx, q, "user_version")
	if err != nil {
		return 0, err
	}
	if uint32(id) != applicationID {
		return 0, core.Errorf(core.KindInvalid, "%s is a SQLite database of another program (application_id 0x%08X, not 0x%08X)",
			s.path, uint32(id), uint32(applicationID)).WithNext("give the file that unibusd serves: its --db")
	}
	if version >= fenceStep {
		if !s.cfg.AllowFenced {
			return 0, core.Errorf(core.KindRefused, "%s is fenced: its control plane was moved to KV, or a move is under way", s.path).
				WithNext("ask a node instead of the file: leave out --db and give --server; see `unibusd migration status`")
		}
		version -= fenceStep
	}
	if version != schemaVersion {
		return 0, core.Errorf(core.KindInvalid, "%s has schema version %d; this program knows version %d", s.path, version, schemaVersion).
			WithNext("use the release of unibusd that wrote the file")
	}
	return version, s.verifyColumns(ctx, q)
}

func (s *Store) verifyColumns(ctx context.Context, q querier) error {
	for _, t := range tables {
		for column := range strings.SplitSeq(t.columns, ", ") {
			var n int
			err := q.QueryRowContext(ctx, "SELECT count(*) FROM pragma_table_info(?) WHERE name = ?", string(t.name), column).Scan(&n)
			if err != nil {
				return err
			}
			if n == 0 {
				return core.Errorf(core.KindInvalid, "%s has no column %s.%s, which schema version %d has", s.path, t.name, column, schemaVersion).
					WithNext("put a backup of it in its place")
			}
		}
	}
	return nil
}
