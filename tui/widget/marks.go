package widget

// Unmark takes the marks of some rows away.
func (t *Table) Unmark(keys []string) {
	for _, k := range keys {
		delete(t.marks, k)
	}
}
