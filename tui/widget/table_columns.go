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

// ShownColumns are the titles of those that are not hidden, from left to right.
func (t *Table) ShownColumns() []string {
	var out []string
	for _, i := range t.inOrder() {
		if !t.isHidden(i) {
			out = append(out, t.columns[i].Title)
		}
	}
	return out
}

// ShowOnly shows the columns with these titles, in this order, and hides the others. The first column stays
// where it is: it says what a row is about. nil shows all as they are. Titles that the table does not have are
// passed over: a file may name them.
func (t *Table) ShowOnly(titles []string) {
	t.hidden, t.order = nil, nil
	if titles == nil {
		return
	}
	t.hidden, t.order = make([]bool, len(t.columns)), []int{0}
	all := t.Columns()
	for _, title := range titles {
		if i := slices.Index(all, title); i > 0 && !slices.Contains(t.order, i) {
			t.order = append(t.order, i)
		}
	}
	for i := range t.columns {
		if !slices.Contains(t.order, i) {
			t.hidden[i], t.order = true, append(t.order, i)
		}
	}
	if t.sortColumn >= 0 && t.isHidden(t.sortColumn) { // an order that the header does not show
		t.sortColumn, t.descending = -1, false
		t.sortAgain()
	}
}

// inOrder are the columns from left to right, hidden ones included.
func (t *Table) inOrder() []int {
	if t.order == nil {
		t.order = make([]int, len(t.columns))
		for i := range t.order {
			t.order[i] = i
		}
	}
	return t.order
}

func (t *Table) isHidden(column int) bool { return column < len(t.hidden) && t.hidden[column] }
