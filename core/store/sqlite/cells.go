package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"unicode/utf8"

	"unibus/core"
)

// fault is one thing in a row that has no place in the canonical form.
type fault struct {
	text string // "its role is "king""
	next string // how to mend it: a sentence, then SQL after a colon
}

// cells reads one row column by column, in the order of the table's columns,
// and collects what is wrong instead of stopping: Problems wants all of it.
// SQLite keeps any type in any column, so the driver's values are looked at as they are.
type cells struct {
	table  table
	names  []string
	values []any
	at     int
	faults []fault
	ids    map[string]core.UserID // that were read lately: a user is in many rows, and a checksum is slow
}

// rememberedIDs bounds what a scan keeps in memory.
const rememberedIDs = 4096

func (c *cells) take() (name string, v any) {
	name, v = c.names[c.at], c.values[c.at]
	c.at++
	return name, v
}

// bad notes a fault; set is the assignment that would mend it, with … where a person must choose.
func (c *cells) bad(set, advice, format string, args ...any) {
	c.faults = append(c.faults, fault{
		text: fmt.Sprintf(format, args...),
		next: fmt.Sprintf("%s: UPDATE %s SET %s WHERE %s;", advice, c.table.name, set, c.where()),
	})
}

// badRow notes a fault that only goes away with the row.
func (c *cells) badRow(advice, format string, args ...any) {
	c.faults = append(c.faults, fault{
		text: fmt.Sprintf(format, args...),
		next: fmt.Sprintf("%s: DELETE FROM %s WHERE %s;", advice, c.table.name, c.where()),
	})
}

// where names the row in SQL, by the primary key as it is stored.
func (c *cells) where() string {
	var terms []string
	for i, name := range c.table.primary {
		if c.values[i] == nil {
			terms = append(terms, name+" IS NULL")
			continue
		}
		terms = append(terms, name+" = "+literal(c.values[i]))
	}
	return strings.Join(terms, " AND ")
}

// key is the row's KV key as far as it can be told, in the spelling of the file.
func (c *cells) key() string {
	parts := make([]string, 0, 4)
	for i, name := range c.table.primary {
		if name == "user_id" && c.table.name == core.TableRoomKeys {
			parts = append(parts, shown(c.values[len(c.values)-1])) // its rec, the last that is read
		}
		parts = append(parts, shown(c.values[i]))
	}
	if c.table.name == tableRecords {
		parts = append(parts, shown(c.values[len(parts)]), recordSuffix)
	}
	return strings.Join(parts, ".")
}

// recordSuffix ends the key of an epoch record (DESIGN D2).
const recordSuffix = "_record"

// literal writes a value as SQL. Text with control characters goes as bytes.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
			return fmt.Sprintf("CAST(X'%X' AS TEXT)", v)
		}
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case []byte:
		return fmt.Sprintf("X'%X'", v)
	}
	return fmt.Sprint(v)
}

// shown writes a value for a person's eyes, at most a line of it.
func shown(v any) string {
	const most = 80
	var s string
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		s = fmt.Sprintf("X'%X'", v[:min(len(v), most)])
	default:
		s = strings.Map(func(r rune) rune {
			if r < ' ' {
				return utf8.RuneError
			}
			return r
		}, strings.ToValidUTF8(fmt.Sprint(v), string(utf8.RuneError)))
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "NULL"
	case string:
		return "TEXT"
	case []byte:
		return "BLOB"
	case int64:
		return "INTEGER"
	}
	return "REAL"
}

func (c *cells) wrongType(name, want string, v any) {
	if v == nil {
		c.bad(name+" = …", "give it a value", "its %s is NULL, which cannot be converted", name)
		return
	}
	c.bad(name+" = …", "give it a value of the right type", "its %s has the type %s, not %s", name, typeName(v), want)
}

func (c *cells) textOf(name string, v any) string {
	s, ok := v.(string)
	switch {
	case !ok:
		c.wrongType(name, "TEXT", v)
	case !utf8.ValidString(s):
		c.bad(name+" = '…'", "write it anew", "its %s is not UTF-8 text", name)
	default:
		return s
	}
	return ""
}

// optionalText reads a column in which NULL means absent.
func (c *cells) optionalText() *string {
	name, v := c.take()
	if v == nil {
		return nil
	}
	s := c.textOf(name, v)
	return &s
}

// blob reads a column of bytes; nil for NULL, which is a fault unless optional.
func (c *cells) blob(optional bool) []byte {
	name, v := c.take()
	if v == nil && optional {
		return nil
	}
	b, ok := v.([]byte)
	if !ok {
		c.wrongType(name, "BLOB", v)
		return nil
	}
	if b == nil {
		b = []byte{} // the driver's empty blob
	}
	return b
}

func (c *cells) integer() int64 {
	name, v := c.take()
	n, ok := v.(int64)
	if !ok {
		c.wrongType(name, "INTEGER", v)
	}
	return n
}

func (c *cells) millis() core.Millis { return core.Millis(c.integer()) }

func (c *cells) epoch() core.Epoch {
	name, v := c.take()
	n, ok := v.(int64)
	switch {
	case !ok:
		c.wrongType(name, "INTEGER", v)
	case n < 0:
		c.bad(name+" = …", "give it a number from 0", "its %s is negative: %d", name, n)
	default:
		return core.Epoch(n)
	}
	return 0
}

func (c *cells) flag() bool {
	name, v := c.take()
	n, ok := v.(int64)
	switch {
	case !ok:
		c.wrongType(name, "INTEGER", v)
	case n != 0 && n != 1:
		c.bad(name+" = …", "make it 0 or 1", "its %s is %d, neither 0 nor 1", name, n)
	}
	return n == 1
}

// word reads a column that holds one of a few words.
func word[T ~string](c *cells, known ...T) T {
	name, v := c.take()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	choices := make([]string, len(known))
	for i, k := range known {
		if string(k) == s {
			return k
		}
		choices[i] = string(k)
	}
	c.bad(name+" = '…'", "make it one of "+strings.Join(choices, ", "), "its %s %q is not a known word", name, shown(s))
	return ""
}

// user reads a column with a user's id, in any case.
func (c *cells) user() core.UserID {
	name, v := c.take()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	if id, ok := c.ids[s]; ok {
		return id
	}
	id, err := core.ParseUserID(s)
	if err == nil && len(s) == len(id) { // SQLite's upper knows ASCII alone
		if len(c.ids) >= rememberedIDs {
			clear(c.ids)
		}
		c.ids[s] = id
		return id
	}
	c.badID(name, "write the user's public nkey", "its %s %q is not a user's public nkey", name, shown(s))
	return ""
}

func (c *cells) room() core.RoomID {
	name, v := c.take()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	id, err := core.ParseRoomID(s)
	if err != nil {
		c.badID(name, "rename it, here and in the other tables, to 1 to 64 of A-Z a-z 0-9 _ -, the first not _",
			"its %s %q is not a room's id", name, shown(s))
	}
	return id
}

func (c *cells) badID(name, advice, format string, args ...any) {
	c.bad(name+" = '…'", advice, format, args...)
}

// rec reads the name of an epoch's record.
func (c *cells) rec() string {
	name, v := c.take()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	if !isRec(s) {
		c.bad(name+" = '…'", "give the rec that the other rows of the epoch have", "its %s %q is not the name of a record", name, shown(s))
	}
	return s
}

// isRec says whether s can be a rec: it is a part of keys, as a room's id is.
func isRec(s string) bool {
	_, err := core.ParseRoomID(s)
	return err == nil
}

// The readers of the tables.

func readUser(c *cells) core.User {
	return core.User{
		ID: c.user(), Name: c.optionalText(), Role: word(c, core.RoleMember, core.RoleAdmin),
		Status: word(c, core.UserActive, core.UserRevoked), KEMKey: c.blob(true), Created: c.millis(), Updated: c.millis(),
	}
}

func readRoom(c *cells) core.Room {
	return core.Room{
		ID: c.room(), Name: c.optionalText(), Owner: c.user(), Encrypted: c.flag(), Epoch: c.epoch(),
		Created: c.millis(), Rec: c.rec(), State: word(c, core.RoomActive, core.RoomArchived),
	}
}

func readMember(c *cells) core.Member {
	return core.Member{
		Room: c.room(), User: c.user(), Role: word(c, core.MemberOwner, core.MemberAdmin, core.MemberMember),
		InvitedBy: c.optionalText(), Proof: c.blob(true), Joined: c.millis(), State: word(c, core.MemberActive, core.MemberInvited, core.MemberRemoved),
	}
}

func readKey(c *cells) core.SealedKey {
	return core.SealedKey{
		Room: c.room(), Epoch: c.epoch(), User: c.user(), Box: c.blob(false), SealedBy: c.optionalText(),
		Created: c.millis(), Rec: c.rec(),
	}
}

// readRecord reads an epoch record; false where only its rec is known.
func readRecord(c *cells) (core.EpochRecord, bool) {
	r := core.EpochRecord{Room: c.room(), Epoch: c.epoch(), Rec: c.rec(), Record: c.blob(true)}
	if c.values[c.at] == nil {
		return r, false
	}
	r.Prev = c.rec()
	return r, true
}

// scan calls f for every row of a query over the columns of t, until f returns an error.
func scan(ctx context.Context, q querier, t table, query string, args []any, f func(*cells) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	c := cells{table: t, names: t.names(), ids: map[string]core.UserID{}}
	c.values = make([]any, len(c.names))
	into := make([]any, len(c.names))
	for i := range into {
		into[i] = &c.values[i]
	}
	for rows.Next() {
		c.at, c.faults = 0, nil
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(&c); err != nil {
			return err
		}
	}
	return rows.Err()
}

// sound is the error of a row that was read and cannot be converted, nil where it can.
func (c *cells) sound() error {
	if len(c.faults) == 0 {
		return nil
	}
	first := c.faults[0]
	return core.Errorf(core.KindFailed, "the row %s of the table %s cannot be used: %s", c.key(), c.table.name, first.text).
		WithNext("%s", first.next)
}

// list reads all rows of a query over the columns of t.
func list[T any](ctx context.Context, tx *sql.Tx, t table, read func(*cells) T, tail string, args ...any) ([]T, error) {
	var all []T
	err := scan(ctx, tx, t, t.all(tail), args, func(c *cells) error {
		v := read(c)
		all = append(all, v)
		return c.sound()
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
