package widget

import (
	"sort"
	"strings"

	"unibus/tui/theme"
)

// Column is one column of a table.
type Column struct {
	Title string
	Right bool // numbers
	Max   int  // cells; 0: as wide as its widest value
	Min   int  // cells to which it may shrink before the columns after it are gone; 0: its title
}

// Cell is one value. Sort orders it instead of Text where it is not nil.
type Cell struct {
	Text string
	Unit string // dimmed behind the text
	Tone theme.Tone
	Sort func(other Cell) int // set by Num
	num  float64
}

// Num is a right-aligned figure that sorts by its value.
func Num(v float64, text, unit string) Cell {
	return Cell{Text: text, Unit: unit, num: v, Sort: func(o Cell) int {
		switch {
		case v < o.num:
			return -1
		case v > o.num:
			return 1
		}
		return 0
	}}
}

// In gives a cell a tone.
func (c Cell) In(t theme.Tone) Cell {
	c.Tone = t
	return c
}

func (c Cell) plain() string {
	if c.Unit == "" {
		return c.Text
	}
	return c.Text + " " + c.Unit
}

// Row is one row; Key stays the same while its values change, so that the
// selection stays on what the operator chose and not on a place on the screen.
type Row struct {
	Key   string
	Cells []Cell
	Dim   bool // a stale or absent thing
}

// Table shows rows with a cursor, an order and marks. Set it anew with Load before drawing.
type Table struct {
	Columns  []Column
	Empty    string // why there is nothing, and what would fill it
	Markable bool   // m and M mark rows

	loaded []Row  // in the order in which they came, those that the filter keeps
	rows   []Row  // the same in the chosen order
	wide   []int  // of each column's widest value
	cursor string // Key of the selected row
	at     int    // where it was, for when it goes away
	top    int
	height int // rows that were drawn last: PgUp and PgDn move by them
	sortBy int // column, -1 as loaded
	down   bool
	marks  map[string]bool
	filter string
	total  int
}

// NewTable makes a table in the order in which rows are loaded.
func NewTable(empty string, cols ...Column) *Table {
	return &Table{Columns: cols, Empty: empty, sortBy: -1, marks: map[string]bool{}}
}

// Load replaces the rows; filter keeps those of which any cell or the key contains it, in any case.
func (t *Table) Load(rows []Row, filter string) {
	t.total, t.filter = len(rows), filter
	f := strings.ToLower(filter)
	kept := make([]Row, 0, len(rows))
	for _, r := range rows {
		if f == "" || matches(r, f) {
			kept = append(kept, r)
		}
	}
	t.loaded = kept
	t.measure()
	t.order()
	t.settle()
	t.forget(rows)
}

func matches(r Row, f string) bool {
	if strings.Contains(strings.ToLower(r.Key), f) {
		return true
	}
	for _, c := range r.Cells {
		if strings.Contains(strings.ToLower(c.plain()), f) {
			return true
		}
	}
	return false
}

// forget drops the marks of rows that are gone, so that nothing is done to what is not seen.
func (t *Table) forget(rows []Row) {
	if len(t.marks) == 0 {
		return
	}
	there := make(map[string]bool, len(rows))
	for _, r := range rows {
		there[r.Key] = true
	}
	for k := range t.marks {
		if !there[k] {
			delete(t.marks, k)
		}
	}
}

func (t *Table) order() {
	t.rows = append(t.rows[:0:0], t.loaded...)
	if t.sortBy < 0 {
		return
	}
	sort.SliceStable(t.rows, func(i, j int) bool {
		c := compare(t.rows[i], t.rows[j], t.sortBy)
		if t.down {
			return c > 0
		}
		return c < 0
	})
}

func compare(a, b Row, col int) int {
	if col >= len(a.Cells) || col >= len(b.Cells) {
		return 0
	}
	x, y := a.Cells[col], b.Cells[col]
	if x.Sort != nil && y.Sort != nil {
		return x.Sort(y)
	}
	return strings.Compare(strings.ToLower(x.Text), strings.ToLower(y.Text))
}

// settle puts the cursor back on its row, or on the one that took its place.
func (t *Table) settle() {
	for i, r := range t.rows {
		if r.Key == t.cursor {
			t.at = i
			return
		}
	}
	t.Move(0)
}

// Move moves the cursor by n rows, within the rows there are.
func (t *Table) Move(n int) {
	t.at = max(0, min(t.at+n, len(t.rows)-1))
	t.cursor = ""
	if len(t.rows) > 0 {
		t.cursor = t.rows[t.at].Key
	}
}

// AtEnd is true where the cursor is on the last row, or there is none.
func (t *Table) AtEnd() bool { return t.at >= len(t.rows)-1 }

// Selected is the key of the selected row, "" where there is none.
func (t *Table) Selected() string {
	if len(t.rows) == 0 {
		return ""
	}
	return t.cursor
}

// Select puts the cursor on a row.
func (t *Table) Select(key string) {
	t.cursor = key
	t.settle()
}

// Marked returns the keys of the marked rows in the order of the table.
func (t *Table) Marked() []string {
	var out []string
	for _, r := range t.rows {
		if t.marks[r.Key] {
			out = append(out, r.Key)
		}
	}
	return out
}

// Len is how many rows are shown; Total how many there are without the filter.
func (t *Table) Len() int { return len(t.rows) }

// Total is how many rows were loaded.
func (t *Table) Total() int { return t.total }

// Key moves the cursor, sorts and marks. It returns false for keys that the table does not use.
func (t *Table) Key(key string) bool {
	switch key {
	case "up", "k":
		t.Move(-1)
	case "down", "j":
		t.Move(1)
	case "pgup", "ctrl+b":
		t.Move(-max(1, t.height-1))
	case "pgdown", "ctrl+f":
		t.Move(max(1, t.height-1))
	case "home", "g":
		t.Move(-len(t.rows))
	case "end", "G":
		t.Move(len(t.rows))
	case "s":
		t.sortNext()
	case "S":
		if t.sortBy < 0 {
			t.sortBy = 0
		}
		t.down = !t.down
		t.order()
		t.settle()
	case "m":
		return t.Markable && t.mark()
	case "M":
		return t.Markable && t.markAll()
	default:
		return false
	}
	return true
}

func (t *Table) sortNext() {
	t.sortBy++
	t.down = false
	if t.sortBy >= len(t.Columns) {
		t.sortBy = -1
	}
	t.order()
	t.settle()
}

func (t *Table) mark() bool {
	if k := t.Selected(); k != "" {
		if t.marks[k] {
			delete(t.marks, k)
		} else {
			t.marks[k] = true
		}
		t.Move(1)
	}
	return true
}

// markAll marks what the filter shows, or takes every mark away where there is one.
func (t *Table) markAll() bool {
	if len(t.marks) > 0 {
		t.ClearMarks()
		return true
	}
	for _, r := range t.rows {
		t.marks[r.Key] = true
	}
	return true
}

// Unmark takes the marks of some rows away.
func (t *Table) Unmark(keys []string) {
	for _, k := range keys {
		delete(t.marks, k)
	}
}

// ClearMarks takes every mark away.
func (t *Table) ClearMarks() { t.marks = map[string]bool{} }
