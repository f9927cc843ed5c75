package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"unibus/core"
)

// errStop ends a scan whose consumer needs no more.
var errStop = errors.New("stop")

// Rows yields the rows of one table in bytewise order of their keys, in the
// form of the buckets, and a last error if it cannot go on: a row that cannot
// be converted, two rows with one key. All rows are of one moment, and one row
// at a time is in memory. The store may be used meanwhile; ctx alone bounds it.
func (s *Store) Rows(ctx context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return s.reading(ctx, t, func(ctx context.Context, tx *sql.Tx, sources []source) iter.Seq2[core.Row, error] {
		all := make([]iter.Seq2[core.Row, error], len(sources))
		for i, src := range sources {
			all[i] = src.ordered(ctx, tx)
		}
		return merged(all)
	})
}

// reading runs read over the sources of a table in a transaction, and checks that
// keys come in order, each once.
func (s *Store) reading(ctx context.Context, t core.Table,
	read func(context.Context, *sql.Tx, []source) iter.Seq2[core.Row, error],
) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		sources, err := s.sources(t)
		if err == nil {
			err = s.runOnce(ctx, s.read, func(ctx context.Context, tx *sql.Tx) error {
				if err := s.checkSchema(ctx, tx); err != nil {
					return err
				}
				return inOrder(read(ctx, tx, sources), func(r core.Row) bool { return yield(r, nil) })
			})
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(core.Row{}, s.explain(ctx, err))
		}
	}
}

// inOrder hands rows on while their keys come in ascending order.
func inOrder(rows iter.Seq2[core.Row, error], hand func(core.Row) bool) error {
	last := ""
	for row, err := range rows {
		switch {
		case err != nil:
			return err
		case row.Key == last:
			return core.Errorf(core.KindFailed, "two rows of the table %s have the key %s", row.Table, row.Key).
				WithNext(listProblems)
		case row.Key < last:
			return core.Errorf(core.KindFailed, "the rows of the table %s came out of order: %s after %s", row.Table, row.Key, last)
		}
		last = row.Key
		if !hand(row) {
			return errStop
		}
	}
	return nil
}

// merged is sequences in key order as one.
func merged(all []iter.Seq2[core.Row, error]) iter.Seq2[core.Row, error] {
	one := all[0]
	for _, other := range all[1:] {
		one = merge(one, other)
	}
	return one
}

func merge(first, second iter.Seq2[core.Row, error]) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		next, stop := iter.Pull2(second)
		defer stop()
		b, errB, more := next()
		for a, errA := range first {
			for more && (errB != nil || errA == nil && b.Key < a.Key) {
				if !yield(b, errB) || errB != nil {
					return
				}
				b, errB, more = next()
			}
			if !yield(a, errA) || errA != nil {
				return
			}
		}
		for more && yield(b, errB) && errB == nil {
			b, errB, more = next()
		}
	}
}

// source is a table of the file from which rows of a bucket come: which table,
// and how one of its rows becomes one of the bucket's; false where it has none there.
type source struct {
	from    table
	groups  int    // how many columns of the primary key come before the user's id
	user    string // the column with a user's id, "" for none
	key     string // SQL: the row's whole key, for those that no index finds
	sort    string // SQL: the order of the keys
	convert func(*rowDecoder) (core.Row, bool)
}

// sources is where the rows of t come from.
func (s *Store) sources(t core.Table) ([]source, error) {
	if !s.open.Load() {
		return nil, s.closed()
	}
	l := s.layout()
	switch t {
	case core.TableUsers:
		return []source{{l.users, 0, "id", l.users.key, l.users.key, always(readUser, core.UserRow)}}, nil
	case core.TableRooms:
		return []source{{l.rooms, 0, "", "id", l.rooms.key, always(readRoom, core.RoomRow)}}, nil
	case core.TableMembers:
		return []source{{l.members, 1, "user_id", l.members.key, l.members.key, always(readMember, core.MemberRow)}}, nil
	case core.TableRoomsByMember:
		const byUser = "upper(user_id) || '.' || room_id"
		return []source{{l.index(), 1, "user_id", byUser, byUser, always(readIndexed, core.IndexRow)}}, nil
	case core.TableRoomKeys:
		all := []source{{l.keys, 2, "user_id", "room_id || '.' || epoch || '.' || " + l.keys.derived[0].sql + " || '.' || upper(user_id)", l.keys.key, always(readKey, core.KeyRow)}}
		if l.hasStates() {
			all = append(all, source{l.records, 0, "", "room_id || '.' || epoch || '.' || rec || '." + core.RecordSuffix + "'", l.records.key, recordRow})
		}
		return all, nil
	}
	return nil, core.Errorf(core.KindInvalid, "there is no table %q", t)
}

// index is the part of the members' table that makes the reverse index: its
// narrowest columns, so that sorting them by user moves little.
func (l layout) index() table {
	t := l.members
	t.columns = t.primary
	if l.hasStates() {
		t.columns = append(words("room_id user_id"), "state")
	}
	return t
}

func readIndexed(c *rowDecoder) core.Member {
	return core.Member{Room: c.room(), User: c.user(), State: word(c, core.MemberStates())}
}

func always[T any](read func(*rowDecoder) T, row func(T) core.Row) func(*rowDecoder) (core.Row, bool) {
	return func(c *rowDecoder) (core.Row, bool) { return row(read(c)), true }
}

func recordRow(c *rowDecoder) (core.Row, bool) {
	r, there := readRecord(c)
	return core.RecordRow(r), there
}

// ordered yields the rows of the source in the order of their keys. If the primary
// key's own index has the users' ids of a group (a room, an epoch of a room) in
// that order already, those in upper case and those in lower case each by
// themselves, only the groups are sorted. Otherwise SQLite sorts all rows, in a
// temporary file once they are many.
func (src source) ordered(ctx context.Context, tx *sql.Tx) iter.Seq2[core.Row, error] {
	spelled := mixedIDs
	if src.user != "" && src.sort == src.from.key && !src.from.unindexed {
		var err error
		if spelled, err = src.idSpelling(ctx, tx); err != nil {
			return func(yield func(core.Row, error) bool) { yield(core.Row{}, err) }
		}
	}
	switch spelled {
	case upperIDs:
		return src.scan(ctx, tx, src.grouped(""))
	case lowerIDs:
		return merge(src.scan(ctx, tx, src.grouped(src.user+" < 'a'")), src.scan(ctx, tx, src.grouped(src.user+" >= 'a'")))
	}
	return src.scan(ctx, tx, src.from.all("ORDER BY "+src.sort))
}

// scan yields the rows of a query over the columns of the source.
func (src source) scan(ctx context.Context, tx *sql.Tx, query string, args ...any) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		err := scan(ctx, tx, src.from, query, args, func(c *rowDecoder) error {
			row, there := src.convert(c)
			if err := c.err(); err != nil {
				return err
			}
			if there && !yield(row, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(core.Row{}, err)
		}
	}
}

// grouped reads the rows that meet a condition in the order of their groups and, in each, of the primary key.
func (src source) grouped(condition string) string {
	t := src.from
	if src.groups == 0 {
		if condition != "" {
			condition = "WHERE " + condition
		}
		return t.all(condition + " ORDER BY " + src.user)
	}
	if condition != "" {
		condition = " AND " + string(t.name) + "." + condition
	}
	group := strings.Join(t.primary[:src.groups], ", ")
	on := make([]string, src.groups)
	for i, c := range t.primary[:src.groups] {
		on[i] = fmt.Sprintf("%s.%s = g.%s", t.name, c, c)
	}
	known, derived := "", "" // what a group has in common is read once for each
	for _, d := range t.derived {
		known += ", " + d.sql + " AS " + d.name
		derived += ", g." + d.name
	}
	return fmt.Sprintf(`WITH g AS MATERIALIZED (SELECT %s%s FROM (SELECT DISTINCT %s FROM %s) AS %s ORDER BY %s || '.' LIMIT -1)
		SELECT %s%s FROM g CROSS JOIN %s INDEXED BY sqlite_autoindex_%s_1 ON %s%s`,
		group, known, group, t.name, t.name, strings.ReplaceAll(group, ", ", " || '.' || "),
		t.storedColumns().selected(string(t.name)+"."), derived, t.name, t.name, strings.Join(on, " AND "), condition)
}

// How users' ids are spelled in a table: all in upper case, some wholly in lower case, or anyhow.
const (
	upperIDs = iota
	lowerIDs
	mixedIDs
)

// idSpelling looks at every id, in the primary key's index alone.
func (src source) idSpelling(ctx context.Context, tx *sql.Tx) (how int, err error) {
	err = tx.QueryRowContext(ctx, fmt.Sprintf("SELECT coalesce(max(CASE %[1]s WHEN upper(%[1]s) THEN %[3]d WHEN lower(%[1]s) THEN %[4]d ELSE %[5]d END), %[3]d) FROM %[2]s",
		src.user, src.from.name, upperIDs, lowerIDs, mixedIDs)).Scan(&how)
	return how, err
}
