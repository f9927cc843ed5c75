package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"unibus/core"
)

// Leftovers names the columns and tables of the file that unibus does not keep, and
// how many rows hold something in them: a column any value but NULL, a table any row.
// ctx alone bounds it.
func (s *Store) Leftovers(ctx context.Context) (all []core.Leftover, err error) {
	err = s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		all = nil
		for _, x := range s.layout().surplus {
			query := "SELECT count(*) FROM main." + quoteName(x.table)
			if x.column != "" {
				query += " WHERE " + quoteName(x.column) + " IS NOT NULL"
			}
			l := core.Leftover{Table: x.table, Column: x.column}
			if err := tx.QueryRowContext(ctx, query).Scan(&l.Rows); err != nil {
				return err
			}
			all = append(all, l)
		}
		return nil
	})
	return all, err
}

// timeColumns are the columns of each table that hold times.
func (l layout) timeColumns() map[core.Table][]string {
	users := words("created_at updated_at")
	if l.hasExpiry() {
		users = append(users, "expires")
	}
	return map[core.Table][]string{
		core.TableUsers: users, core.TableRooms: words("created_at"),
		core.TableMembers: words("joined_at"), core.TableRoomKeys: words("created_at"),
	}
}

// OddTimes finds times that are probably not in milliseconds. A time of 0 stands for
// one that is not known. ctx alone bounds it.
func (s *Store) OddTimes(ctx context.Context) (all []core.OddTimes, err error) {
	err = s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		all = nil
		for _, t := range s.layout().tables {
			for _, column := range s.layout().timeColumns()[t.name] {
				found, err := oddTimesIn(ctx, tx, t.name, column)
				if err != nil {
					return err
				}
				all = append(all, found...)
			}
		}
		return nil
	})
	return all, err
}

// oddTimesIn counts the times of one column by the unit that makes sense of them. The
// bounds are compared in that unit, because a product could leave the integers.
func oddTimesIn(ctx context.Context, tx *sql.Tx, t core.Table, column string) (all []core.OddTimes, err error) {
	const first, last = int64(core.FirstLikelyTime), int64(core.LastLikelyTime)
	query := fmt.Sprintf(`SELECT unit, count(*), min(v) FROM (SELECT %[1]s AS v, CASE
		WHEN %[1]s BETWEEN %[3]d AND %[4]d OR %[1]s = 0 THEN NULL
		WHEN %[1]s BETWEEN %[5]d AND %[6]d THEN '%[11]s'
		WHEN %[1]s BETWEEN %[7]d AND %[8]d THEN '%[12]s'
		WHEN %[1]s BETWEEN %[9]d AND %[10]d THEN '%[13]s'
		ELSE '' END AS unit FROM %[2]s WHERE typeof(%[1]s) = 'integer') WHERE unit IS NOT NULL GROUP BY unit ORDER BY unit`,
		column, t, first, last, first/1000, last/1000, first*1000, last*1000+999, first*1000000, last*1000000+999999,
		core.Seconds, core.Microseconds, core.Nanoseconds)
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		o := core.OddTimes{Table: t, Column: column}
		if err := rows.Scan(&o.Unit, &o.Rows, &o.Example); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}
