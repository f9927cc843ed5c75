package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"unibus/core"
)

// rowFault is one thing in a row that has no place in the canonical form.
type rowFault struct {
	text string // "its role is "king""
	next string // how to repair it: a sentence, then SQL after a colon
}

// rowDecoder reads one row column by column, in the order of the table's columns,
// and collects what is wrong instead of stopping: Problems wants all of it. SQLite
// keeps any type in any column, so the driver's values are looked at as they are.
type rowDecoder struct {
	table  table
	names  []string
	values []any
	at     int
	number any // of the row, where the table is scanned with row numbers
	faults []rowFault
	ids    map[string]core.UserID // ids that were parsed lately: a user is in many rows, and a checksum is slow
}

// rememberedIDs bounds what a scan keeps in memory.
const rememberedIDs = 4096

func (c *rowDecoder) next() (name string, v any) {
	name, v = c.names[c.at], c.values[c.at]
	c.at++
	return name, v
}

// addFault records a fault; set is the assignment that would repair it, with …
// where a person must choose.
func (c *rowDecoder) addFault(set, advice, format string, args ...any) {
	c.faults = append(c.faults, rowFault{
		text: fmt.Sprintf(format, args...),
		next: c.repair(advice, fmt.Sprintf("UPDATE %s SET %s", c.table.name, set)),
	})
}

// addRowFault records a fault that only goes away with the row.
func (c *rowDecoder) addRowFault(advice, format string, args ...any) {
	c.faults = append(c.faults, rowFault{
		text: fmt.Sprintf(format, args...),
		next: c.repair(advice, "DELETE FROM "+string(c.table.name)),
	})
}

// repair is a sentence with a statement that changes this row and no other. A reader
// without row numbers may have no such statement.
func (c *rowDecoder) repair(advice, statement string) string {
	where, one := c.whereOne()
	if !one {
		return listProblems
	}
	return fmt.Sprintf("%s: %s WHERE %s; -- 1 row", advice, statement, where)
}

// listProblems is the next step of a reader that cannot name one row.
const listProblems = "a check lists such rows, each with its repair: unibusd migrate-to-kv --db FILE --dry-run"

// whereOne names the row in SQL: by the primary key where that is certain to be unique
// and can be read, else by the row's number. A key may hold NULL in many rows, and
// without an index any value; then one is false if the number is not known.
func (c *rowDecoder) whereOne() (where string, one bool) {
	unique := !c.table.unindexed
	for i := range c.table.primary {
		switch v := c.values[i].(type) {
		case int64:
		case string:
			unique = unique && len(v) <= 80 && isPlainASCII(v)
		default:
			unique = false
		}
	}
	if unique || c.number == nil {
		return c.where(), unique
	}
	return fmt.Sprintf("%s = %v", c.table.rowID, c.number), true
}

// isPlainASCII is true of a text that a person can copy from a terminal as it is.
func isPlainASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// where names the row in SQL, by the primary key as it is stored.
func (c *rowDecoder) where() string {
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

// key is the row's KV key as far as it is known, in the spelling of the file.
func (c *rowDecoder) key() string {
	if len(c.table.primary) == 1 && c.values[0] == "" {
		return `""`
	}
	parts := make([]string, 0, 4)
	for i, name := range c.table.primary {
		if name == "user_id" && c.table.name == core.TableRoomKeys {
			parts = append(parts, display(c.values[len(c.values)-1])) // its rec, the last that is read
		}
		parts = append(parts, display(c.values[i]))
	}
	if c.table.name == tableRecords {
		parts = append(parts, display(c.values[len(parts)]), core.RecordSuffix)
	}
	return strings.Join(parts, ".")
}

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

// display writes a value for a person to read, at most a line of it.
func display(v any) string {
	const most = 80
	var s string
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		s = fmt.Sprintf("X'%X'", v[:min(len(v), most)])
	default:
		s = core.VisibleText(strings.ToValidUTF8(fmt.Sprint(v), string(utf8.RuneError)))
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

func (c *rowDecoder) wrongType(name, want string, v any) {
	if v == nil {
		c.addFault(name+" = …", "give it a value", "its %s is NULL, which cannot be converted", name)
		return
	}
	c.addFault(name+" = …", "give it a value of the right type", "its %s has the type %s, not %s", name, typeName(v), want)
}

func (c *rowDecoder) textOf(name string, v any) string {
	s, ok := v.(string)
	switch {
	case !ok:
		c.wrongType(name, "TEXT", v)
	case !utf8.ValidString(s):
		c.addFault(name+" = '…'", "write it again", "its %s is not UTF-8 text", name)
	default:
		return s
	}
	return ""
}

// optionalText reads a column in which NULL means absent.
func (c *rowDecoder) optionalText() *string {
	name, v := c.next()
	if v == nil {
		return nil
	}
	s := c.textOf(name, v)
	return &s
}

// blob reads a column of bytes; nil for NULL, which is a fault unless optional.
func (c *rowDecoder) blob(optional bool) []byte {
	name, v := c.next()
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

func (c *rowDecoder) integer() int64 {
	name, v := c.next()
	n, ok := v.(int64)
	if !ok {
		c.wrongType(name, "INTEGER", v)
	}
	return n
}

func (c *rowDecoder) millis() core.Millis { return core.Millis(c.integer()) }

// expiry reads a user's end; NULL is none.
func (c *rowDecoder) expiry() core.Millis {
	name, v := c.next()
	n, ok := v.(int64)
	switch {
	case v == nil:
		return 0
	case !ok:
		c.wrongType(name, "INTEGER", v)
	case n == 0 || core.CheckExpiry(core.Millis(n)) != nil:
		c.addFault(name+" = …", "give it a time in Unix milliseconds, or NULL for no end", "its %s %d is no time at which a user can end", name, n)
	}
	return core.Millis(n)
}

func (c *rowDecoder) epoch() core.Epoch {
	name, v := c.next()
	n, ok := v.(int64)
	switch {
	case !ok:
		c.wrongType(name, "INTEGER", v)
	case n < 0:
		c.addFault(name+" = …", "give it a number from 0", "its %s is negative: %d", name, n)
	default:
		return core.Epoch(n)
	}
	return 0
}

func (c *rowDecoder) flag() bool {
	name, v := c.next()
	n, ok := v.(int64)
	switch {
	case !ok:
		c.wrongType(name, "INTEGER", v)
	case n != 0 && n != 1:
		c.addFault(name+" = …", "make it 0 or 1", "its %s is %d, neither 0 nor 1", name, n)
	}
	return n == 1
}

// word reads a column that holds one of a few words.
func word[T ~string](c *rowDecoder, known []T) T {
	name, v := c.next()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	if slices.Contains(known, T(s)) {
		return T(s)
	}
	c.addFault(name+" = '…'", "make it "+core.JoinWords(known), "its %s %q is not a known word", name, display(s))
	return ""
}

// user reads a column with a user's id, in any case.
func (c *rowDecoder) user() core.UserID {
	name, v := c.next()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	if id, ok := c.ids[s]; ok {
		return id
	}
	id, err := core.ParseUserID(s)
	if err == nil && len(s) == len(id) { // SQLite's upper converts ASCII alone
		if len(c.ids) >= rememberedIDs {
			clear(c.ids)
		}
		c.ids[s] = id
		return id
	}
	c.addIDFault(name, "write the user's public nkey", "its %s %q is not a user's public nkey", name, display(s))
	return ""
}

func (c *rowDecoder) room() core.RoomID {
	name, v := c.next()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	id, err := core.ParseRoomID(s)
	if err != nil {
		c.addIDFault(name, "rename it, here and in the other tables, to 1 to 64 of A-Z a-z 0-9 _ -, the first not _",
			"its %s %q is not a room's id", name, display(s))
	}
	return id
}

func (c *rowDecoder) addIDFault(name, advice, format string, args ...any) {
	c.addFault(name+" = '…'", advice, format, args...)
}

// rec reads the name of an epoch's record.
func (c *rowDecoder) rec() string {
	name, v := c.next()
	s, ok := v.(string)
	if !ok {
		c.wrongType(name, "TEXT", v)
		return ""
	}
	if core.CheckRecName(s) != nil {
		c.addFault(name+" = '…'", "give the rec that the other rows of the epoch have", "its %s %q is not the name of a record", name, display(s))
	}
	return s
}

// The readers of the tables.

func readUser(c *rowDecoder) core.User {
	return core.User{
		ID: c.user(), Name: c.optionalText(), Role: word(c, core.UserRoles()),
		Status: word(c, core.UserStatuses()), KEMKey: c.blob(true), Created: c.millis(), Updated: c.millis(), Expires: c.expiry(),
	}
}

func readRoom(c *rowDecoder) core.Room {
	return core.Room{
		ID: c.room(), Name: c.optionalText(), Owner: c.user(), Encrypted: c.flag(), Epoch: c.epoch(),
		Created: c.millis(), Rec: c.rec(), State: word(c, core.RoomStates()),
	}
}

func readMember(c *rowDecoder) core.Member {
	return core.Member{
		Room: c.room(), User: c.user(), Role: word(c, core.MemberRoles()),
		InvitedBy: c.optionalText(), Proof: c.blob(true), Joined: c.millis(), State: word(c, core.MemberStates()),
	}
}

func readKey(c *rowDecoder) core.SealedKey {
	return core.SealedKey{
		Room: c.room(), Epoch: c.epoch(), User: c.user(), Box: c.blob(false), SealedBy: c.optionalText(),
		Created: c.millis(), Rec: c.rec(),
	}
}

// readRecord reads an epoch record; false where only its rec is known.
func readRecord(c *rowDecoder) (core.EpochRecord, bool) {
	r := core.EpochRecord{Room: c.room(), Epoch: c.epoch(), Rec: c.rec(), Record: c.blob(true)}
	if c.values[c.at] == nil {
		return r, false
	}
	r.Prev = c.rec()
	return r, true
}

// scan calls f for every row of a query over the columns of t, until f returns an error.
func scan(ctx context.Context, q querier, t table, query string, args []any, f func(*rowDecoder) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	c := rowDecoder{table: t, names: t.names(), ids: map[string]core.UserID{}}
	c.values = make([]any, len(c.names))
	into := make([]any, len(c.names))
	for i := range into {
		into[i] = &c.values[i]
	}
	if t.numbered {
		into = append(into, &c.number)
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

// err is the error of a row that was read and cannot be converted, nil where it
// can.
func (c *rowDecoder) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	first := c.faults[0]
	return core.Errorf(core.KindFailed, "the row %s of the table %s cannot be used: %s", c.key(), c.table.name, first.text).
		WithNext("%s", first.next)
}

// list reads all rows of a query over the columns of t.
func list[T any](ctx context.Context, tx *sql.Tx, t table, read func(*rowDecoder) T, tail string, args ...any) ([]T, error) {
	var all []T
	err := scan(ctx, tx, t, t.all(tail), args, func(c *rowDecoder) error {
		v := read(c)
		all = append(all, v)
		return c.err()
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
