package widget

// Window is the loaded part of a list that is filtered and sorted elsewhere.
type Window struct {
	Rows       []Row
	Offset     int  // the position of the first of them
	Total      int  // the length of the list
	Unfiltered int  // its length without the filter
	Awaited    bool // nothing of this list has come yet
}

// SetWindow replaces the loaded rows. The cursor stays on its row if that is among them,
// and the columns keep at least their widths, so that they do not jump while the
// operator scrolls.
func (t *Table) SetWindow(w Window, filter string) {
	t.isWindow, t.filter = true, filter
	if w.Awaited {
		if t.sorted != nil { // once: keys that are pressed meanwhile move the cursor
			t.dropWindow()
		}
		return
	}
	wasAwaited := len(t.sorted) == 0
	t.filtered, t.sorted, t.offset, t.total, t.totalRows = w.Rows, w.Rows, w.Offset, w.Total, w.Unfiltered
	t.measureColumns()
	t.cursorRow = max(0, min(t.cursorRow, t.total-1))
	t.restoreCursor()
	if wasAwaited {
		t.firstVisible = t.cursorRow - t.visibleRows/2
	}
}

// dropWindow forgets the rows, because they are those of another order or filter. The
// cursor waits at the top for its row.
func (t *Table) dropWindow() {
	t.filtered, t.sorted, t.offset = nil, nil, 0
	t.cursorRow, t.firstVisible = 0, 0
}

// Order returns the column that the table is sorted by, -1 for the order as loaded.
func (t *Table) Order() (column int, descending bool) { return t.sortColumn, t.descending }

// CursorKey is SelectedKey, also while the row is awaited.
func (t *Table) CursorKey() string { return t.cursorKey }

// screensAround is how many screens are loaded before and after the visible one.
const screensAround = 2

// defaultRows is the height of a table that was not drawn yet.
const defaultRows = 30

// Visible returns the positions that the table shows.
func (t *Table) Visible() (first, rows int) {
	rows = t.visibleRows
	if rows <= 0 {
		rows = defaultRows
	}
	t.scrollToCursor(rows)
	return t.firstVisible, rows
}

// WantedWindow returns the positions to load. They change before the cursor
// reaches the end of those that are loaded.
func (t *Table) WantedWindow() (offset, limit int) {
	first, rows := t.Visible()
	limit = (1 + 2*screensAround) * rows
	from, to := max(0, first-rows), min(t.total, first+2*rows)
	again := min(len(t.sorted), limit) // what the same window would bring: fewer rows after the screen shrank
	if again > 0 && from >= t.offset && to <= t.offset+again {
		return t.offset, limit
	}
	return max(0, first-screensAround*rows), limit
}
