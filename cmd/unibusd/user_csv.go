package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"unibus/core"
	"unibus/core/admin"
)

const (
	maxImportBytes = 64 << 20
	maxImportRows  = 200_000
	maxRowFaults   = 20  // that are told at once
	maxFaultText   = 300 // bytes of one
)

// userRow is a row of a CSV file of users.
type userRow struct {
	line   int
	user   core.User       // as `user add` would make it
	status core.UserStatus // "": the file does not say
}

// rowFaults collects what is wrong with a file, line by line.
type rowFaults struct {
	file  string
	lines []string
	more  int
}

func (f *rowFaults) add(line int, format string, args ...any) {
	if len(f.lines) == maxRowFaults {
		f.more++
		return
	}
	text := fmt.Sprintf(format, args...)
	if len(text) > maxFaultText {
		text = core.CutText(text, maxFaultText) + "…"
	}
	f.lines = append(f.lines, fmt.Sprintf("%s:%d: %s", f.file, line, text))
}

// err is nil for a file without faults. Nothing was done with one that has any.
func (f *rowFaults) err() error {
	if len(f.lines) == 0 {
		return nil
	}
	lines := f.lines
	if f.more > 0 {
		lines = append(slices.Clone(lines), fmt.Sprintf("and %d more", f.more))
	}
	return core.Errorf(core.KindInvalid, "nothing was added:\n%s", strings.Join(lines, "\n")).
		WithNext("correct the file, and see what would be added: unibusd user import FILE.csv --dry-run")
}

// readUsers reads a CSV file of users, as `user export` writes it or as a spreadsheet saves it. Either
// every row is right, or none is returned. KindInvalid.
func readUsers(file string, from io.Reader, now time.Time) ([]userRow, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxImportBytes+1))
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s cannot be read: %w", file, err)
	}
	if len(data) > maxImportBytes {
		return nil, core.Errorf(core.KindInvalid, "%s has more than %d MiB", file, maxImportBytes>>20).WithNext("divide it into several files")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // spreadsheets begin UTF-8 with it
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) || bytes.IndexByte(data, 0) >= 0 {
		return nil, core.Errorf(core.KindInvalid, "%s is not a text in UTF-8", file).WithNext("save it as CSV in UTF-8")
	}
	table := csv.NewReader(bytes.NewReader(data))
	table.FieldsPerRecord, table.ReuseRecord = -1, true
	head, _, _ := bytes.Cut(data, []byte("\n"))
	if !bytes.Contains(head, []byte(",")) && bytes.Contains(head, []byte(";")) {
		table.Comma = ';' // as spreadsheets separate where the comma is a decimal point
	}
	faults := &rowFaults{file: file}
	columns, err := readColumns(file, table)
	if err != nil {
		return nil, err
	}
	return readRows(table, columns, faults, now)
}

// readColumns are the names of the first row.
func readColumns(file string, table *csv.Reader) ([]string, error) {
	row, err := table.Read()
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "%s:1: it has no row with the names of the columns", file).WithNext("begin it with: %s", strings.Join(userColumns()[:5], ","))
	}
	columns := slices.Clone(row)
	for i, name := range columns {
		columns[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(userColumns(), columns[i]) {
			return nil, core.Errorf(core.KindInvalid, "%s:1: %s is no column of users", file, core.QuoteText(core.CutText(name, 60))).
				WithNext("the columns are %s", core.JoinWords(userColumns()))
		}
		if slices.Contains(columns[:i], columns[i]) {
			return nil, core.Errorf(core.KindInvalid, "%s:1: it has the column %s twice", file, columns[i]).WithNext("remove one")
		}
	}
	if !slices.Contains(columns, "user") {
		return nil, core.Errorf(core.KindInvalid, "%s:1: it has no column user", file).WithNext("add it, with the public nkeys")
	}
	return columns, nil
}

func readRows(table *csv.Reader, columns []string, faults *rowFaults, now time.Time) ([]userRow, error) {
	var rows []userRow
	lines := map[core.UserID]int{}
	for {
		cells, err := table.Read()
		if errors.Is(err, io.EOF) {
			if err := faults.err(); err != nil {
				return nil, err
			}
			return rows, nil
		}
		if parse, ok := errors.AsType[*csv.ParseError](err); ok {
			faults.add(parse.Line, "%v", parse.Err)
			return nil, faults.err() // where the next row begins is not known
		}
		line, _ := table.FieldPos(0)
		switch {
		case len(cells) == 1 && cells[0] == "" || len(strings.Join(cells, "")) == 0:
			continue // spreadsheets end with such rows
		case len(cells) != len(columns):
			faults.add(line, "it has %d cells, and %d columns are named", len(cells), len(columns))
			continue
		case len(rows) == maxImportRows:
			return nil, core.Errorf(core.KindInvalid, "%s has more than %d users", faults.file, maxImportRows).WithNext("divide it into several files")
		}
		row, err := readRow(columns, cells, now)
		if err != nil {
			faults.add(line, "%v", err)
			continue
		}
		if first := lines[row.user.ID]; first > 0 {
			faults.add(line, "%s is in line %d already", row.user.ID, first)
			continue
		}
		row.line, lines[row.user.ID] = line, line
		rows = append(rows, row)
	}
}

func readRow(columns, cells []string, now time.Time) (row userRow, err error) {
	of := map[string]string{}
	for i, cell := range cells {
		if !utf8.ValidString(cell) {
			return row, core.Errorf(core.KindInvalid, "the column %s is not UTF-8", columns[i])
		}
		of[columns[i]] = plainCell(cell)
	}
	u := core.User{Status: core.UserActive, Role: core.UserRole(strings.TrimSpace(of["role"]))}
	if u.ID, err = core.ParseUserID(strings.TrimSpace(of["user"])); err != nil {
		return row, err
	}
	if name := of["name"]; name != "" {
		u.Name = &name
	}
	if u.Expires, err = readMoment(strings.TrimSpace(of["ends"])); err != nil {
		return row, err
	}
	row.status = core.UserStatus(strings.ToLower(strings.TrimSpace(of["status"])))
	if row.status != "" && row.status != core.UserExpired && !slices.Contains(core.UserStatuses(), row.status) {
		return row, core.Errorf(core.KindInvalid, "%s is not a state of users: use active, revoked or expired", core.QuoteText(core.CutText(string(row.status), 40)))
	}
	end := u.Expires
	if row.status == core.UserExpired || row.status == core.UserRevoked {
		end = 0 // it may be over
	}
	if _, err = admin.NewUser(u.ID, nil, u.Role, end, core.MillisOf(now)); err != nil {
		return row, err
	}
	if u.Role == "" {
		u.Role = core.RoleMember
	}
	row.user = u
	return row, nil
}

// readMoment reads a day, which is the last one in UTC, or a moment. "" and never are no end. A
// time from now is refused: the same file would say something else tomorrow.
func readMoment(text string) (core.Millis, error) {
	if text == "" || text == "never" {
		return 0, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return core.MillisOf(day.AddDate(0, 0, 1)), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.UnixMilli() <= 0 {
		return 0, core.Errorf(core.KindInvalid, "%s is no end: give a day such as 2027-01-31, which is the last one, a moment such as 2027-01-31T17:00:00Z, or nothing", core.QuoteText(core.CutText(text, 40)))
	}
	return core.MillisOf(at), nil
}
