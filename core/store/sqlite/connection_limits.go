package sqlite

import (
	"database/sql"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// limit bounds what a connection accepts, whatever a file contains: a value, a
// statement, an expression. Our own statements and rows stay far below.
func limit(conn *sql.Conn) error {
	for _, l := range []struct{ what, most int }{
		{codes.SQLITE_LIMIT_LENGTH, 16 << 20},
		{codes.SQLITE_LIMIT_SQL_LENGTH, 1 << 20},
		{codes.SQLITE_LIMIT_EXPR_DEPTH, 100},
		{codes.SQLITE_LIMIT_COLUMN, 100},
		{codes.SQLITE_LIMIT_COMPOUND_SELECT, 10},
		{codes.SQLITE_LIMIT_TRIGGER_DEPTH, 10},
		{codes.SQLITE_LIMIT_ATTACHED, 1}, // VACUUM INTO is one
	} {
		if _, err := driver.Limit(conn, l.what, l.most); err != nil {
			return err
		}
	}
	return nil
}
