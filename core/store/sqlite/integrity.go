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

// Integrity has SQLite check the file's pages, its indexes, and declared foreign
// keys. KindFailed says what is wrong first. ctx alone bounds it.
func (s *Store) Integrity(ctx context.Context) error {
	return s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error { return s.runCheck(ctx, tx, "integrity_check(1)") })
}

// checkPages looks for pages that lead in circles, which a reader would follow without
// end. In a file that is to be served, it also looks for an index that differs from its
// table, which would hide a revocation. For a read-only file, Integrity does that.
func (s *Store) checkPages(ctx context.Context, q querier) error {
	if s.cfg.ReadOnly {
		return s.runCheck(ctx, q, "quick_check(1)")
	}
	return s.runCheck(ctx, q, "integrity_check(1)")
}

// runCheck runs a check of SQLite's own. Only its first line is read. The driver
// interrupts a statement only before its first row, and after a finding a check goes on
// over pages that it has just found damaged.
func (s *Store) runCheck(ctx context.Context, q querier, check string) error {
	var said string
	err := q.QueryRowContext(ctx, "PRAGMA "+check).Scan(&said)
	if err == nil && said != "ok" {
		err = core.Errorf(core.KindFailed, "the database %s is damaged: %s", s.path, display(said)).
			WithNext("stop the node, keep the file, and put a backup in its place")
	}
	return err
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
			err := scan(ctx, tx, t.storedColumns(), t.storedColumns().all("ORDER BY "+strings.Join(t.primary, ", ")), nil, func(c *rowDecoder) error {
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
