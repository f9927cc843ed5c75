package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"unibus/core"
)

// Problems names what keeps the file from being migrated: every row that cannot be
// converted, and why, in the order of the tables, at most limit of them (0 or
// less: all). The users' and rooms' ids are in memory meanwhile. ctx alone bounds
// it.
func (s *Store) Problems(ctx context.Context, limit int) ([]core.Problem, error) {
	var found []core.Problem
	err := s.view(ctx, 0, func(ctx context.Context, tx *sql.Tx) error {
		p := problemSearch{layout: s.layout(), limit: limit, known: map[core.UserID]bool{}, epoch: map[core.RoomID]core.Epoch{}}
		err := p.run(ctx, tx)
		found = p.found
		if err == errStop {
			return nil
		}
		return err
	})
	return found, err
}

// problemSearch is one pass over the tables. Users and rooms are read twice: rows
// that refer to them need all of them.
type problemSearch struct {
	layout
	limit int
	found []core.Problem
	known map[core.UserID]bool
	epoch map[core.RoomID]core.Epoch

	lastKey, lastStored string // of the last valid row of the present table: its key, and as it is stored
	lastNumber          any    // of that row
}

func (p *problemSearch) run(ctx context.Context, tx *sql.Tx) error {
	if err := p.collectIDs(ctx, tx); err != nil {
		return err
	}
	for _, t := range p.tables {
		p.lastKey, p.lastStored = "", ""
		t = t.withRowIDs()
		err := scan(ctx, tx, t, t.inKeyOrder()+", "+t.rowID, nil, func(c *rowDecoder) error {
			row := p.read(c)
			if len(c.faults) == 0 && row.Key != "" {
				p.checkWholeRow(c, row)
			}
			return p.addProblems(c)
		})
		if err != nil {
			return err
		}
	}
	if !p.hasStates() {
		return nil
	}
	return p.chains(ctx, tx)
}

// chains checks that from a room's rec its records lead back, each to the rec of
// the epoch before it.
func (p *problemSearch) chains(ctx context.Context, tx *sql.Tx) error {
	const none = "'" + core.LegacyRec + "'"
	rooms := "LEFT JOIN epoch_records r ON r.room_id = rooms.id AND r.epoch = rooms.epoch WHERE rooms.rec <> coalesce(r.rec, " + none + ")"
	t := p.rooms.withRowIDs()
	err := scan(ctx, tx, t, fmt.Sprintf("SELECT %s FROM rooms %s ORDER BY rooms.id", t.selected("rooms."), rooms), nil, func(c *rowDecoder) error {
		c.addFault("rec = '…'", "make it the rec that epoch_records has for its epoch, or 0 where there is none",
			"its rec %s is not that of its epoch's record", display(c.values[6]))
		return p.addProblems(c)
	})
	if err != nil {
		return err
	}
	records := "LEFT JOIN epoch_records b ON b.room_id = a.room_id AND b.epoch = a.epoch - 1 WHERE a.epoch > 0 AND a.prev <> coalesce(b.rec, " + none + ")"
	t = p.records.withRowIDs()
	return scan(ctx, tx, t, fmt.Sprintf("SELECT %s FROM epoch_records a %s ORDER BY a.room_id, a.epoch", t.selected("a."), records), nil, func(c *rowDecoder) error {
		c.addFault("prev = '…'", "make it the rec that epoch_records has for the epoch before, or 0 where there is none",
			"its prev %s is not the rec of the epoch before it", display(c.values[4]))
		return p.addProblems(c)
	})
}

// collectIDs collects the ids of users and rooms, whatever else is wrong with
// their rows.
func (p *problemSearch) collectIDs(ctx context.Context, tx *sql.Tx) error {
	err := scan(ctx, tx, p.users, p.users.all(""), nil, func(c *rowDecoder) error {
		if u := readUser(c); u.ID != "" {
			p.known[u.ID] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return scan(ctx, tx, p.rooms, p.rooms.all(""), nil, func(c *rowDecoder) error {
		if r := readRoom(c); r.ID != "" {
			p.epoch[r.ID] = r.Epoch
		}
		return nil
	})
}

// read converts the row and checks what it refers to.
func (p *problemSearch) read(c *rowDecoder) core.Row {
	switch c.table.name {
	case core.TableUsers:
		return core.UserRow(checked(c, readUser(c), core.CheckUser))
	case core.TableRooms:
		r := checked(c, readRoom(c), core.CheckRoom)
		if r.Owner != "" && !p.known[r.Owner] {
			c.addFault("owner = '…'", "name a user who is there, or add that one", "its owner %s is not a user", r.Owner)
		}
		return core.RoomRow(r)
	case core.TableMembers:
		m := checked(c, readMember(c), core.CheckMember)
		p.checkReferences(c, m.Room, m.User)
		return core.MemberRow(m)
	case tableRecords:
		r, there := readRecord(c)
		if there {
			r = checked(c, r, core.CheckRecord)
		}
		p.checkReferences(c, r.Room, "")
		p.checkEpochBound(c, r.Room, r.Epoch)
		if !there {
			return core.Row{}
		}
		return core.RecordRow(r)
	default:
		k := checked(c, readKey(c), core.CheckKey)
		p.checkReferences(c, k.Room, k.User)
		p.checkEpochBound(c, k.Room, k.Epoch)
		return core.KeyRow(k)
	}
}

// checked adds what the stores would refuse of a row whose columns can be read.
func checked[T any](c *rowDecoder, v T, check func(T) error) T {
	if len(c.faults) > 0 {
		return v
	}
	if err := check(v); err != nil {
		c.addRowFault("correct it, or delete the row", "%s", err.Error())
	}
	return v
}

func (p *problemSearch) checkEpochBound(c *rowDecoder, room core.RoomID, epoch core.Epoch) {
	if current, ok := p.epoch[room]; ok && epoch > current {
		c.addRowFault("no member can have used it", "its epoch %d is above that of its room, %d", epoch, current)
	}
}

func (p *problemSearch) checkReferences(c *rowDecoder, room core.RoomID, user core.UserID) {
	if _, ok := p.epoch[room]; room != "" && !ok {
		c.addRowFault("add the room, or delete the row", "its room %s is not there", room)
	}
	if user != "" && !p.known[user] {
		c.addRowFault("add the user, or delete the row", "its user %s is not there", user)
	}
}

// checkWholeRow checks what needs a row without faults: its size, and whether it
// is the only one of its key.
func (p *problemSearch) checkWholeRow(c *rowDecoder, row core.Row) {
	if core.CheckRowSize(row) != nil {
		c.addRowFault("shorten its largest value, or delete the row",
			"it takes %d bytes as a message, more than the %d that fit", len(row.Value), core.MaxValue)
	}
	if row.Key == p.lastKey { // in key order equal ones are neighbors
		text := "it differs from " + p.lastStored + " only in case"
		if c.key() == p.lastStored {
			text = fmt.Sprintf("it is there twice, in the rows %v and %v", p.lastNumber, c.number)
		}
		c.addRowFault("decide which of the two counts and delete the other", "%s", text)
	}
	p.lastKey, p.lastStored, p.lastNumber = row.Key, c.key(), c.number
}

// addProblems turns the row's faults into problems.
func (p *problemSearch) addProblems(c *rowDecoder) error {
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
