package widget

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"unibus/core"
	"unibus/tui/theme"
)

// Column is one column of a table.
type Column struct {
	Title    string
	Right    bool // right-aligned
	Max      int  // cells; 0: as wide as its widest value
	Extra    bool // dropped before any other column shrinks; the row's own view shows the value
	IfFilled bool // dropped while it is empty in every row
	Min      int  // cells to which it may shrink once the columns after it are gone; 0: it does not shrink
}

// pad fills a text to the width of its column.
func (c Column) pad(text string, w int) string {
	if c.Right {
		return PadLeft(text, w)
	}
	return PadRight(text, w)
}

// Cell is one value of a row.
type Cell struct {
	Text     string
	Unit     string // dimmed, after the text
	Tone     theme.Tone
	isNumber bool // sorts by number instead of Text
	number   float64
	missing  bool // sorts last in both directions
}

// Number is a cell that sorts by its value.
func Number(v float64, text, unit string) Cell {
	return Cell{Text: text, Unit: unit, number: v, isNumber: true}
}

// RankedText is a cell of text that sorts by its rank.
func RankedText(rank float64, text string) Cell { return Number(rank, text, "") }

// AgeCell is a cell that shows a duration in its largest unit.
func AgeCell(d time.Duration) Cell {
	figure, unit := formatAgeParts(d)
	return Number(d.Seconds(), figure, unit)
}

// NoNumber stands in a column of numbers for a value that does not exist. It sorts last in both directions.
func NoNumber() Cell { return Cell{Text: "-", Tone: theme.Faint, missing: true} }

// WithTone returns the cell in another tone.
func (c Cell) WithTone(t theme.Tone) Cell {
	c.Tone = t
	return c
}

func (c Cell) fullText() string {
	if c.Unit == "" {
		return c.Text
	}
	return c.Text + " " + c.Unit
}

// Row is one row. Key must stay the same while its values change, because the
// cursor follows the key.
type Row struct {
	Key   string
	Cells []Cell
	IsDim bool // a stale or absent object
}

// Dim is the row without colors, because they may be wrong by now.
func (r Row) Dim() Row {
	r.IsDim, r.Cells = true, slices.Clone(r.Cells)
	for i := range r.Cells {
		r.Cells[i].Tone = theme.Dim
	}
	return r
}

// Table shows rows with a cursor, an order and marks. Call SetRows before drawing, or
// SetWindow where the list is longer than what is loaded of it.
type Table struct {
	columns         []Column
	hidden          []bool // by column; nil: none is
	order           []int  // the columns from left to right; nil: as they are
	Empty           string // says why the table is empty, and what would fill it
	RowsCanBeMarked bool   // m marks a row
	IsStale         bool   // the rows are older than they may be: all are dim
	HidesCursor     bool   // the table is looked at only, beside the page that has the keys
	FollowsTop      bool   // a cursor on the first row stays there when rows come before it: a list with the newest first

	filtered      []Row  // the rows that match the filter, as loaded
	sorted        []Row  // the same in the chosen order
	offset        int    // the position of the first of them in the list
	total         int    // the length of the list
	isWindow      bool   // the list is filtered and sorted elsewhere, and sorted has a part of it
	contentWidths []int  // of the widest value per column
	cursorKey     string // Key of the selected row
	cursorRow     int    // remembered for when the row with cursorKey is gone
	firstVisible  int
	visibleRows   int    // when last drawn: PgUp and PgDn move by it
	header        string // as last drawn, without colors
	sortColumn    int    // -1: as loaded
	descending    bool
	marks         map[string]bool
	filter        string
	totalRows     int
}

// NewTable creates a table that keeps the order of its rows.
func NewTable(empty string, cols ...Column) *Table {
	return &Table{columns: cols, Empty: empty, sortColumn: -1, marks: map[string]bool{}}
}

// SetRows replaces the rows. filter keeps those that a core.RowFilter selects of key and
// cells; its fields are the titles of the columns. One that cannot be read keeps all.
func (t *Table) SetRows(rows []Row, filter string) {
	follow := t.FollowsTop && t.cursorRow == 0 && t.sortColumn < 0 && t.filter == filter
	t.totalRows, t.filter = len(rows), filter
	f, err := core.ParseRowFilter(filter, t.filterFields()...)
	kept := make([]Row, 0, len(rows))
	for _, r := range rows {
		if filter == "" || err != nil || f.Selects(filterValues(r)...) {
			kept = append(kept, r)
		}
	}
	t.filtered = kept
	t.contentWidths = nil
	t.measureColumns()
	t.applySort()
	t.total = len(t.sorted)
	if follow {
		t.moveCursor(0)
	} else {
		t.restoreCursor()
	}
}

// filterFields are the names of filterValues.
func (t *Table) filterFields() []string {
	out := []string{"key"}
	for _, c := range t.columns {
		out = append(out, strings.ReplaceAll(strings.ToLower(c.Title), " ", "-"))
	}
	return out
}

func filterValues(r Row) []string {
	out := []string{r.Key}
	for _, c := range r.Cells {
		out = append(out, c.fullText())
	}
	return out
}

func (t *Table) applySort() {
	t.sorted = append(t.sorted[:0:0], t.filtered...)
	if t.sortColumn < 0 {
		return
	}
	sort.SliceStable(t.sorted, func(i, j int) bool {
		return sortsBefore(t.sorted[i], t.sorted[j], t.sortColumn, t.descending)
	})
}

func sortsBefore(a, b Row, col int, descending bool) bool {
	if col >= len(a.Cells) || col >= len(b.Cells) {
		return false
	}
	x, y := a.Cells[col], b.Cells[col]
	switch {
	case x.missing || y.missing:
		return y.missing && !x.missing
	case descending:
		return compareCells(y, x) < 0
	}
	return compareCells(x, y) < 0
}

func compareCells(x, y Cell) int {
	if x.isNumber && y.isNumber {
		return cmp.Compare(x.number, y.number)
	}
	return strings.Compare(strings.ToLower(x.Text), strings.ToLower(y.Text))
}

// restoreCursor puts the cursor back on its row, or on the row that took its
// place.
func (t *Table) restoreCursor() {
	for i, r := range t.sorted {
		if r.Key == t.cursorKey {
			if t.isWindow { // the rows around it stay where they are on the screen
				t.firstVisible += t.offset + i - t.cursorRow
			}
			t.cursorRow = t.offset + i
			return
		}
	}
	if _, loaded := t.rowAt(t.cursorRow); loaded || !t.isWindow {
		t.moveCursor(0)
	}
}

// rowAt returns the row at a position of the list, false if it is not loaded.
func (t *Table) rowAt(i int) (Row, bool) {
	if i < t.offset || i >= t.offset+len(t.sorted) {
		return Row{}, false
	}
	return t.sorted[i-t.offset], true
}

// moveCursor moves the cursor by n rows, within the table.
func (t *Table) moveCursor(n int) {
	t.cursorRow = max(0, min(t.cursorRow+n, t.total-1))
	r, _ := t.rowAt(t.cursorRow)
	t.cursorKey = r.Key
}

// AtEnd is true if the cursor is on the last row, or the table is empty.
func (t *Table) AtEnd() bool { return t.cursorRow >= t.total-1 }

// SelectedKey is the key of the row under the cursor, "" without one.
func (t *Table) SelectedKey() string {
	r, _ := t.rowAt(t.cursorRow)
	return r.Key
}

// RowAt is the key of the row that a line of a screen shows, false if it shows none. The table finds
// itself on the screen by its header.
func (t *Table) RowAt(screen []string, line int) (key string, ok bool) {
	top := slices.IndexFunc(screen, func(l string) bool { return t.header != "" && strings.TrimRight(l, " ") == t.header })
	if top < 0 || line <= top || line > top+t.visibleRows {
		return "", false
	}
	r, ok := t.rowAt(t.firstVisible + line - top - 1)
	return r.Key, ok
}

// Select puts the cursor on a row.
func (t *Table) Select(key string) {
	t.cursorKey = key
	t.restoreCursor()
}

// MarkedKeys are the keys of all marked rows, in order. The page knows which of them are listed.
func (t *Table) MarkedKeys() []string { return slices.Sorted(maps.Keys(t.marks)) }

// ListedKeys are the keys of the loaded rows that match the filter, in their order.
func (t *Table) ListedKeys() []string {
	out := make([]string, len(t.sorted))
	for i, r := range t.sorted {
		out[i] = r.Key
	}
	return out
}

// RowText is the shown cells of a loaded row, between tabs, as a spreadsheet takes them; "" without that row.
func (t *Table) RowText(key string) string {
	for _, r := range t.sorted {
		if r.Key != key {
			continue
		}
		var cells []string
		for _, i := range t.inOrder() {
			if i < len(r.Cells) && !t.isHidden(i) {
				cells = append(cells, Sanitize(r.Cells[i].fullText()))
			}
		}
		return strings.Join(cells, "\t")
	}
	return ""
}

// Len counts the rows that match the filter.
func (t *Table) Len() int { return t.total }

// HandleKey moves the cursor, sorts and marks. It returns false for keys that the
// table does not use.
func (t *Table) HandleKey(key string) bool {
	switch key {
	case "up", "k":
		t.moveCursor(-1)
	case "down", "j":
		t.moveCursor(1)
	case "pgup", "ctrl+b":
		t.moveCursor(-max(1, t.visibleRows-1))
	case "pgdown", "ctrl+f":
		t.moveCursor(max(1, t.visibleRows-1))
	case "home", "g":
		t.moveCursor(-t.total)
	case "end", "G":
		t.moveCursor(t.total)
	case "s":
		t.sortByNextColumn()
	case "S":
		if t.sortColumn < 0 {
			t.sortColumn = 0
		}
		t.descending = !t.descending
		t.sortAgain()
	case "m":
		if !t.RowsCanBeMarked {
			return false
		}
		t.toggleMark()
	default:
		return false
	}
	return true
}

// sortByNextColumn takes the next shown column to the right, and the rows as loaded after the last one.
func (t *Table) sortByNextColumn() {
	order := t.inOrder()
	at := slices.Index(order, t.sortColumn) + 1
	for at < len(order) && t.isHidden(order[at]) {
		at++
	}
	t.sortColumn, t.descending = -1, false
	if at < len(order) {
		t.sortColumn = order[at]
	}
	t.sortAgain()
}

// sortAgain applies a new order. The rows of a window come anew in that order.
func (t *Table) sortAgain() {
	if t.isWindow {
		t.dropWindow()
		return
	}
	t.applySort()
	t.restoreCursor()
}

func (t *Table) toggleMark() {
	if k := t.SelectedKey(); k != "" {
		if t.marks[k] {
			delete(t.marks, k)
		} else {
			t.marks[k] = true
		}
		t.moveCursor(1)
	}
}

// Mark marks some rows.
func (t *Table) Mark(keys []string) {
	for _, k := range keys {
		t.marks[k] = true
	}
}

// Unmark removes the marks of some rows.
func (t *Table) Unmark(keys []string) {
	for _, k := range keys {
		delete(t.marks, k)
	}
}

// ClearMarks removes all marks.
func (t *Table) ClearMarks() { t.marks = map[string]bool{} }
