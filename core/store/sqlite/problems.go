package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"unibus/core"
)

// maxRow is how large an encoded row may be: NATS carries 1 MiB with its
// headers, and a batch needs some of that for its own.
const maxRow = 1<<20 - 64<<10

// Problems names what keeps the file from being moved: every row that cannot
// be converted, and why, in the order of the tables, at most limit of them (0
// or less: all). The users' and rooms' ids are in memory meanwhile. ctx alone bounds it.
func (s *Store) Problems(ctx context.Context, limit int) ([]core.Problem, error) {
	var found []core.Problem
	err := s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		p := search{limit: limit, users: map[core.UserID]bool{}, rooms: map[core.RoomID]core.Epoch{}}
		err := p.run(ctx, tx)
		found = p.found
		if err == errStop {
			return nil
		}
		return err
	})
	return found, err
}

// search is one pass over the tables. Users and rooms are read twice: what
// refers to them needs all of them.
type search struct {
	limit int
	found []core.Problem
	users map[core.UserID]bool
	rooms map[core.RoomID]core.Epoch

	lastKey, lastStored string // of the last sound row of the present table: its key, and as it is stored
}

func (p *search) run(ctx context.Context, tx *sql.Tx) error {
	if err := p.learn(ctx, tx); err != nil {
		return err
	}
	for _, t := range tables {
		p.lastKey, p.lastStored = "", ""
		err := scan(ctx, tx, t, t.inKeyOrder(), nil, func(c *cells) error {
			row := p.read(c)
			if len(c.faults) == 0 {
				p.whole(c, row)
			}
			return p.take(c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// learn notes which users and rooms there are, whatever else is wrong with their rows.
func (p *search) learn(ctx context.Context, tx *sql.Tx) error {
	err := scan(ctx, tx, usersTable, usersTable.all(""), nil, func(c *cells) error {
		if u := readUser(c); u.ID != "" {
			p.users[u.ID] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return scan(ctx, tx, roomsTable, roomsTable.all(""), nil, func(c *cells) error {
		if r := readRoom(c); r.ID != "" {
			p.rooms[r.ID] = r.Epoch
		}
		return nil
	})
}

// read converts the row and checks what it refers to.
func (p *search) read(c *cells) core.Row {
	switch c.table.name {
	case core.TableUsers:
		return core.UserRow(readUser(c))
	case core.TableRooms:
		r := readRoom(c)
		if r.Owner != "" && !p.users[r.Owner] {
			c.bad("owner = '…'", "name a user who is there, or add that one", "its owner %s is not a user", r.Owner)
		}
		return core.RoomRow(r)
	case core.TableMembers:
		m := readMember(c)
		p.orphan(c, m.Room, m.User)
		return core.MemberRow(m)
	default:
		k := readKey(c)
		p.orphan(c, k.Room, k.User)
		if current, ok := p.rooms[k.Room]; ok && k.Epoch > current {
			c.badRow("no member can have used it", "its epoch %d is above that of its room, %d", k.Epoch, current)
		}
		return core.KeyRow(k)
	}
}

func (p *search) orphan(c *cells, room core.RoomID, user core.UserID) {
	if _, ok := p.rooms[room]; room != "" && !ok {
		c.badRow("add the room, or delete the row", "its room %s is not there", room)
	}
	if user != "" && !p.users[user] {
		c.badRow("add the user, or delete the row", "its user %s is not there", user)
	}
}

// whole checks what only a row without faults can be asked: its size, and whether it is the only one of its key.
func (p *search) whole(c *cells, row core.Row) {
	if size := len(row.Key) + len(row.Value); size > maxRow {
		c.badRow("shorten its largest value, or delete the row",
			"it takes %d bytes as a message, more than the %d that fit", size, maxRow)
	}
	if row.Key == p.lastKey { // in key order equal ones are neighbours
		c.badRow("decide which of the two counts and delete the other", "it differs from %s only in case", p.lastStored)
	}
	p.lastKey, p.lastStored = row.Key, c.key()
}

// take turns the row's faults into problems.
func (p *search) take(c *cells) error {
	for _, f := range c.faults {
		p.found = append(p.found, core.Problem{
			Table: c.table.name, Key: c.key(), Text: f.text,
			Next: fmt.Sprintf("with the node stopped, %s", f.next),
		})
		if p.limit > 0 && len(p.found) >= p.limit {
			return errStop
		}
	}
	return nil
}
