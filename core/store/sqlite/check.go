package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"

	"unibus/core"
)

// Integrity has SQLite check the file's pages, indexes and declared foreign
// keys. KindFailed says what is wrong. ctx alone bounds it.
func (s *Store) Integrity(ctx context.Context) error {
	return s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		said, err := texts(ctx, tx, "PRAGMA quick_check(10)")
		if err != nil {
			return err
		}
		if len(said) != 1 || said[0] != "ok" {
			return core.Errorf(core.KindFailed, "the database %s is damaged: %s", s.path, strings.Join(said, "; ")).
				WithNext("stop the node, keep the file, and put a backup in its place")
		}
		orphans, err := texts(ctx, tx, `SELECT "table" || ' row ' || coalesce(rowid, '?') || ' (' || parent || ')' FROM pragma_foreign_key_check LIMIT 10`)
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			return core.Errorf(core.KindFailed, "rows of the database %s refer to others that are not there: %s", s.path, strings.Join(orphans, "; ")).
				WithNext("delete them or add what they refer to; list them with: sqlite3 %s 'PRAGMA foreign_key_check'", s.path)
		}
		return nil
	})
}

func texts(ctx context.Context, q querier, query string) ([]string, error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// Fingerprint is a digest of every stored value of the tables as of one
// moment, convertible or not: equal for a file and its backup, different once
// a row differs. ctx alone bounds it.
func (s *Store) Fingerprint(ctx context.Context) (string, error) {
	sum := ""
	err := s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		h := sha256.New()
		for _, t := range s.layout().tables {
			_, _ = fmt.Fprintf(h, "table %s\n", t.name)
			err := scan(ctx, tx, t.bare(), t.bare().all("ORDER BY "+strings.Join(t.primary, ", ")), nil, func(c *cells) error {
				for _, v := range c.values {
					_, _ = fmt.Fprintf(h, "%T %q\n", v, fmt.Append(nil, v))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		sum = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return sum, err
}
