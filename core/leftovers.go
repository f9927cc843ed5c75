package core

import (
	"fmt"
	"strings"
)

// Leftover is a column or a table of a SQLite file that unibus does not keep: a
// migration and a restore leave it behind.
type Leftover struct {
	Table  string `json:"table"`
	Column string `json:"column,omitempty"` // "": the whole table
	Rows   int    `json:"rows"`             // that hold something in it
}

// Name is TABLE or TABLE.COLUMN, as --ignore takes it.
func (l Leftover) Name() string {
	if l.Column == "" {
		return l.Table
	}
	return l.Table + "." + l.Column
}

// String names it in a sentence.
func (l Leftover) String() string {
	if l.Column == "" {
		return "the table " + l.Name()
	}
	return "the column " + l.Name()
}

// IsIgnored is true where an operator named it. SQLite compares names so that the case
// of ASCII letters does not count. The name of a table stands for its columns, too.
func (l Leftover) IsIgnored(names []string) bool {
	for _, name := range names {
		if foldASCII(name) == foldASCII(l.Name()) {
			return true
		}
	}
	return false
}

// Unignored are the leftovers that hold rows and that no name of the list stands for.
func Unignored(all []Leftover, names []string) (left []Leftover) {
	for _, l := range all {
		if l.Rows > 0 && !l.IsIgnored(names) {
			left = append(left, l)
		}
	}
	return left
}

// CheckIgnored refuses names that stand for none of the leftovers: a slip of the pen
// would otherwise pass for a decision. KindInvalid.
func CheckIgnored(all []Leftover, names []string) error {
	for _, name := range names {
		found := false
		for _, l := range all {
			found = found || l.IsIgnored([]string{name})
		}
		if found {
			continue
		}
		err := Errorf(KindInvalid, "--ignore names %q, and the file has no such column or table beside its own", name)
		if len(all) == 0 {
			return err.WithNext("leave out --ignore: everything in the file is migrated")
		}
		var have []string
		for _, l := range all {
			have = append(have, l.Name())
		}
		return err.WithNext("it has %s", strings.Join(have, ", "))
	}
	return nil
}

func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// OddTimes are times of one column of a SQLite file that are no milliseconds since
// 1970 of this century or the ones around it.
type OddTimes struct {
	Table   Table
	Column  string
	Unit    TimeUnit // the unit in which they make sense; "" for none
	Rows    int
	Example int64
}

// TimeUnit is a unit of a time since 1970.
type TimeUnit string

// The units that programs write in the place of milliseconds.
const (
	Seconds      TimeUnit = "seconds"
	Microseconds TimeUnit = "microseconds"
	Nanoseconds  TimeUnit = "nanoseconds"
)

// Bounds of the times that are taken for real: the years 2000 to 2100.
const (
	FirstLikelyTime Millis = 946684800000
	LastLikelyTime  Millis = 4133980799999
)

// String says how many rows there are and how one of them reads.
func (o OddTimes) String() string {
	read := Millis(o.Example)
	column, rows := string(o.Table)+"."+o.Column, countRows(o.Rows)
	if o.Unit == "" {
		return fmt.Sprintf("%s lies before the year 2000 or after 2100 in %s: %d reads as %s", column, rows, o.Example, date(read))
	}
	meant := map[TimeUnit]Millis{Seconds: read * 1000, Microseconds: read / 1000, Nanoseconds: read / 1000000}[o.Unit]
	return fmt.Sprintf("%s looks like %s in %s, and the column is for milliseconds: %d reads as %s, and as %s it is %s",
		column, o.Unit, rows, o.Example, date(read), o.Unit, date(meant))
}

func countRows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

func date(m Millis) string { return m.Time().Format("2006-01-02 15:04:05 UTC") }
