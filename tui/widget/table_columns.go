package widget

import "slices"

// Columns are the titles of all columns, in order.
func (t *Table) Columns() []string {
	out := make([]string, len(t.columns))
	for i, c := range t.columns {
		out[i] = c.Title
	}
	return out
}

// ShownColumns are the titles of those that are not hidden.
func (t *Table) ShownColumns() []string {
	var out []string
	for i, c := range t.columns {
		if !t.isHidden(i) {
			out = append(out, c.Title)
		}
	}
	return out
}

// ShowOnly hides every column with another title, except the first: it says what a row is about.
// nil shows all. Titles that the table does not have are passed over: a file may name them.
func (t *Table) ShowOnly(titles []string) {
	t.hidden = nil
	if titles == nil {
		return
	}
	t.hidden = make([]bool, len(t.columns))
	for i, c := range t.columns {
		t.hidden[i] = i > 0 && !slices.Contains(titles, c.Title)
	}
	if t.sortColumn >= 0 && t.isHidden(t.sortColumn) { // an order that the header does not show
		t.sortColumn, t.descending = -1, false
		t.sortAgain()
	}
}

func (t *Table) isHidden(column int) bool { return column < len(t.hidden) && t.hidden[column] }
