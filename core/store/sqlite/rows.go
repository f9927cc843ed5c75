package sqlite

import (
	"context"
	"errors"
	"iter"

	"unibus/core"
)

// errStop ends a scan whose consumer has had enough.
var errStop = errors.New("stop")

// Rows yields the rows of one table in bytewise order of their keys, in the
// form of the buckets, and a last error if it cannot go on: a row that cannot
// be converted, two rows with one key. All rows are of one moment, and one row
// at a time is in memory. The store may be used meanwhile; ctx alone bounds it.
func (s *Store) Rows(ctx context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		from, query, convert, err := s.source(t)
		if err == nil && !s.open.Load() {
			err = s.closed()
		}
		if err != nil {
			yield(core.Row{}, err)
			return
		}
		last := ""
		err = scan(ctx, s.read, from, query, nil, func(c *cells) error {
			row := convert(c)
			if err := c.sound(); err != nil {
				return err
			}
			if row.Key <= last {
				return core.Errorf(core.KindFailed, "two rows of the table %s have the key %s", from.name, row.Key).
					WithNext("their ids differ only in case: delete all but one")
			}
			last = row.Key
			if !yield(row, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(core.Row{}, s.sentence(ctx, err))
		}
	}
}

// source is where the rows of t come from, and how a row of the file becomes one of t.
func (s *Store) source(t core.Table) (from table, query string, convert func(*cells) core.Row, err error) {
	switch t {
	case core.TableUsers:
		from, convert = usersTable, func(c *cells) core.Row { return core.UserRow(readUser(c)) }
	case core.TableRooms:
		from, convert = roomsTable, func(c *cells) core.Row { return core.RoomRow(readRoom(c)) }
	case core.TableMembers:
		from, convert = membersTable, func(c *cells) core.Row { return core.MemberRow(readMember(c)) }
	case core.TableRoomKeys:
		from, convert = keysTable, func(c *cells) core.Row { return core.KeyRow(readKey(c)) }
	case core.TableRoomsByMember:
		byUser := membersTable.all("ORDER BY upper(user_id) || '.' || room_id")
		return membersTable, byUser, func(c *cells) core.Row { return core.IndexRow(readMember(c)) }, nil
	default:
		return table{}, "", nil, core.Errorf(core.KindInvalid, "there is no table %q", t)
	}
	return from, from.inKeyOrder(), convert, nil
}
