package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
)

// The fields in the header of our files.
const (
	applicationID = 0x554E4942 // "UNIB"
	legacyVersion = 1          // what a new database gets
	stateVersion  = 2          // what an export of a KV control plane gets: states and records
	expiryVersion = 3          // what a file gets with the first end of a user
	fenceStep     = 1000       // a fenced file's user_version is raised by this
)

const legacySchema = `
CREATE TABLE users(id TEXT PRIMARY KEY, name TEXT, role TEXT, status TEXT, kem_key BLOB, created_at INTEGER, updated_at INTEGER);
CREATE TABLE rooms(id TEXT PRIMARY KEY, name TEXT, owner TEXT, encrypted INTEGER, epoch INTEGER, created_at INTEGER);
CREATE TABLE members(room_id TEXT, user_id TEXT, role TEXT, invited_by TEXT, proof BLOB, joined_at INTEGER, PRIMARY KEY(room_id, user_id));
CREATE TABLE room_keys(room_id TEXT, epoch INTEGER, user_id TEXT, box BLOB, sealed_by TEXT, created_at INTEGER, PRIMARY KEY(room_id, epoch, user_id));
`

// stateSchema makes version 2 of version 1. In epoch_records a NULL prev says that
// the record itself is not there, only its rec is known: it decides the keys of
// the epoch, and is no row of the bucket. That is also why prev is kept: from the
// rec of the epoch before, an empty record and a missing one would look the same.
const stateSchema = `
ALTER TABLE rooms ADD COLUMN rec TEXT;
ALTER TABLE rooms ADD COLUMN state TEXT;
ALTER TABLE members ADD COLUMN state TEXT;
CREATE TABLE epoch_records(room_id TEXT, epoch INTEGER, rec TEXT, record BLOB, prev TEXT, PRIMARY KEY(room_id, epoch));
`

// expirySchema makes version 3 of version 2. NULL is a user without an end.
const expirySchema = `
ALTER TABLE users ADD COLUMN expires INTEGER;
`

// table is one table of the file: its columns in the order in which they are read,
// the columns derived from others, the columns that name a row (the first of
// them), and the expression of its KV key as far as that orders rows.
type table struct {
	name    core.Table
	columns []string
	derived []derived
	primary []string
	key     string

	unindexed bool   // the file declares no primary key: rows may be there twice
	rowID     string // the name by which the file's table has its row numbers
	numbered  bool   // a scan reads the row numbers, too
}

// derived is what a reader takes and the table does not store.
type derived struct{ name, sql string }

// tableRecords is the file's own: in the buckets epoch records are among the room
// keys.
const tableRecords core.Table = "epoch_records"

// layout describes the tables of one schema version.
type layout struct {
	version                              int
	users, rooms, members, keys, records table
	tables                               []table
	active                               string // SQL: a member counts

	surplus []surplus // what the file holds beyond the tables
}

// surplus is a column, or a table, that a file holds and unibus does not keep.
type surplus struct{ table, column string }

func (x surplus) String() string {
	if x.column == "" {
		return "the table " + display(x.table)
	}
	return "the column " + display(x.table) + "." + display(x.column)
}

// withFile is the layout with what the declarations of a file say of its tables.
func (l layout) withFile(declared map[core.Table]declaration, extra []surplus) layout {
	l.tables = slices.Clone(l.tables)
	all := []*table{&l.users, &l.rooms, &l.members, &l.keys, &l.records}
	for i := range l.tables {
		all = append(all, &l.tables[i])
	}
	for _, t := range all {
		d, ok := declared[t.name]
		t.unindexed = ok && len(d.primary) == 0
		t.rowID = d.rowID()
	}
	l.surplus = extra
	return l
}

// rowID is a name of the row numbers that no column takes; "" where all are taken.
func (d declaration) rowID() string {
	for _, name := range words("rowid _rowid_ oid") {
		if _, taken := d.column(name); !taken {
			return name
		}
	}
	return ""
}

// invited is SQL: a member is an invitation. Version 1 has none.
func (l layout) invited() string {
	if !l.hasStates() {
		return "0"
	}
	return "state = '" + string(core.MemberInvited) + "'"
}

// hasStates is true where rooms and members have states and epochs records.
func (l layout) hasStates() bool { return l.version >= stateVersion }

// hasExpiry is true where users have ends.
func (l layout) hasExpiry() bool { return l.version >= expiryVersion }

// recOfKey is the rec of a row of room_keys in version 2.
const recOfKey = "coalesce((SELECT r.rec FROM epoch_records r WHERE r.room_id = room_keys.room_id AND r.epoch = room_keys.epoch), '" + core.LegacyRec + "')"

// layoutOf is the layout of a version, false for one this program does not know.
// A key is one expression, because '-' sorts before '.' and so the order of
// (room, user) is not the order of "room.user"; the concatenation has no
// collation of a column, so it is compared byte by byte.
func layoutOf(version int) (layout, bool) {
	const perRoom, perEpoch = "room_id || '.' || upper(user_id)", "room_id || '.' || epoch || '.' || upper(user_id)"
	l := layout{
		version: version, active: "1",
		users:   tableOf(core.TableUsers, "id name role status kem_key created_at updated_at", "id", "upper(id)"),
		rooms:   tableOf(core.TableRooms, "id name owner encrypted epoch created_at", "id", "id COLLATE BINARY"),
		members: tableOf(core.TableMembers, "room_id user_id role invited_by proof joined_at", "room_id user_id", perRoom),
		keys:    tableOf(core.TableRoomKeys, "room_id epoch user_id box sealed_by created_at", "room_id epoch user_id", perEpoch),
		records: tableOf(tableRecords, "room_id epoch rec record prev", "room_id epoch", "room_id || '.' || epoch || '.'"),
	}
	if l.hasExpiry() {
		l.users.columns = append(l.users.columns, "expires")
	} else {
		l.users.derived = []derived{{"expires", "NULL"}}
	}
	switch version {
	case legacyVersion:
		rec, state := derived{"rec", "'" + core.LegacyRec + "'"}, "state"
		l.rooms.derived = []derived{rec, {state, "'" + string(core.RoomActive) + "'"}}
		l.members.derived = []derived{{state, "'" + string(core.MemberActive) + "'"}}
		l.keys.derived = []derived{rec}
		l.tables = []table{l.users, l.rooms, l.members, l.keys}
	case stateVersion, expiryVersion:
		l.rooms.columns = append(l.rooms.columns, "rec", "state")
		l.members.columns = append(l.members.columns, "state")
		l.keys.derived = []derived{{"rec", recOfKey}}
		l.active = "state = '" + string(core.MemberActive) + "'"
		l.tables = []table{l.users, l.rooms, l.members, l.keys, l.records}
	default:
		return layout{}, false
	}
	return l, true
}

func tableOf(name core.Table, columns, primary, key string) table {
	return table{name: name, columns: words(columns), primary: words(primary), key: key, rowID: "rowid"}
}

func words(s string) []string { return strings.Fields(s) }

// inKeyOrder reads everything in the order of the KV keys, by sorting it. The
// rec is left out of the order: all keys of an epoch have the same.
func (t table) inKeyOrder() string { return t.all("ORDER BY " + t.key) }

func (t table) all(tail string) string {
	return fmt.Sprintf("SELECT %s FROM %s %s", t.selected(""), t.name, tail)
}

// selected is the column list of a reader; prefix names the table where a query
// has several.
func (t table) selected(prefix string) string {
	list := make([]string, 0, len(t.columns)+len(t.derived))
	for _, c := range t.columns {
		list = append(list, prefix+c)
	}
	for _, d := range t.derived {
		list = append(list, d.sql)
	}
	if t.numbered {
		list = append(list, prefix+t.rowID)
	}
	return strings.Join(list, ", ")
}

// names are the names of the columns of selected.
func (t table) names() []string {
	all := slices.Clone(t.columns)
	for _, d := range t.derived {
		all = append(all, d.name)
	}
	return all
}

// withRowIDs is the table with the numbers of its rows.
func (t table) withRowIDs() table {
	t.numbered = true
	return t
}

// storedColumns is the table without derived columns.
func (t table) storedColumns() table {
	t.derived = nil
	return t
}

// insert is the statement that adds a row, all columns in their order.
func (t table) insert() string {
	return fmt.Sprintf("INSERT INTO %s(%s) VALUES (?%s)", t.name, strings.Join(t.columns, ", "), strings.Repeat(", ?", len(t.columns)-1))
}

// querier is the part that *sql.DB, *sql.Conn and *sql.Tx share.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func pragmaInt(ctx context.Context, q querier, name string) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, "PRAGMA "+name).Scan(&n)
	return n, err
}

// initialize gives an empty file its tables and its header, all in tx. A file
// that another process initialized meanwhile is left to verify.
func initialize(ctx context.Context, tx *sql.Tx) error {
	var objects int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil || objects > 0 {
		return err
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("%sPRAGMA application_id=%d; PRAGMA user_version=%d;", legacySchema, applicationID, legacyVersion))
	return err
}

// scripts make an empty file of a version, each in one of the ways in which a
// file of it may have come to be; none for a version this program does not know.
func scripts(version int) []string {
	switch version {
	case legacyVersion:
		return []string{legacySchema}
	case stateVersion:
		return []string{legacySchema + stateSchema, legacySchema + upgradeScript()}
	case expiryVersion:
		return []string{legacySchema + stateSchema + expirySchema, legacySchema + upgradeScript() + expirySchema}
	}
	return nil
}

// verify refuses a file that is not one of ours, of a version this program does
// not know, fenced, or with anything in its schema that we do not make.
func (s *Store) verify(ctx context.Context, q querier) error {
	v, err := s.versionIn(ctx, q)
	if err != nil {
		return err
	}
	if v.fenced && !s.cfg.AllowFenced {
		return core.Errorf(core.KindRefused, "%s is fenced: its control plane was migrated to KV, or a migration is under way", s.path).
			WithNext("ask a node instead of the file: leave out --db and give --server; see `unibusd migration status`")
	}
	return s.checkSchema(ctx, q)
}

// versionIn reads the header: the file's program and version.
func (s *Store) versionIn(ctx context.Context, q querier) (versionInfo, error) {
	id, err := pragmaInt(ctx, q, "application_id")
	if err != nil {
		return versionInfo{}, err
	}
	version, err := pragmaInt(ctx, q, "user_version")
	if err != nil {
		return versionInfo{}, err
	}
	if uint32(id) != applicationID {
		return versionInfo{}, core.Errorf(core.KindInvalid, "%s is a SQLite database of another program (application_id 0x%08X, not 0x%08X)",
			s.path, uint32(id), uint32(applicationID)).WithNext("give the file that unibusd serves: its --db")
	}
	fenced := version >= fenceStep
	if fenced {
		version -= fenceStep
	}
	l, known := layoutOf(version)
	if !known {
		return versionInfo{}, core.Errorf(core.KindInvalid, "%s has schema version %d; this program knows versions %d to %d",
			s.path, version, legacyVersion, expiryVersion).WithNext("use the release of unibusd that wrote the file")
	}
	return versionInfo{l, fenced}, nil
}
