package audit

import (
	"context"
	"iter"

	"unibus/core/admin"
	"unibus/tui/export"
	"unibus/tui/page"
	"unibus/tui/widget"
)

// pageSize is how many records a request brings.
const pageSize = 100

// Export is the list as it is on the screen where all of it is loaded. Else older records follow the loaded
// ones, newest first, as the node has them.
func (m *Page) Export(rc page.RenderContext) (export.List, bool) {
	list, ok := m.List.Export(rc)
	next := rc.Snapshot.Audit.Value.Next
	if !ok || next == 0 {
		return list, ok
	}
	loaded := list.Rows
	list.IsMore = true
	list.Rows = func(ctx context.Context, from export.Source) iter.Seq2[[]any, error] {
		return func(yield func([]any, error) bool) {
			for row, err := range loaded(ctx, from) {
				if !yield(row, err) {
					return
				}
			}
			for row, err := range olderRows(ctx, from, rc, next) {
				if !yield(row, err) {
					return
				}
			}
		}
	}
	return list, true
}

// olderRows asks a node for the records before those that are loaded, and keeps what the filter selects.
func olderRows(ctx context.Context, from export.Source, rc page.RenderContext, before uint64) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for before != 0 {
			p, err := from.Audit(ctx, admin.AuditRequest{Before: before, Limit: pageSize})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range selected(rc, p.Records) {
				if !yield(exportRecord(r), nil) {
					return
				}
			}
			before = p.Next
		}
	}
}

// selected are the records whose rows the filter keeps.
func selected(rc page.RenderContext, records []admin.AuditRecord) (out []admin.AuditRecord) {
	t := widget.NewTable("", columns()...)
	rows, byKey := make([]widget.Row, len(records)), map[string]admin.AuditRecord{}
	for i, r := range records {
		rows[i], byKey[recordKey(r)] = row(rc, r), r
	}
	t.SetRows(rows, rc.Filter)
	for _, key := range t.ListedKeys() {
		out = append(out, byKey[key])
	}
	return out
}
