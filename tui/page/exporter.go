package page

import (
	"unibus/core"
	"unibus/tui/export"
)

// Exporter is a page whose list can be exported.
type Exporter interface {
	// Export is the list as the page shows it: filtered and in its order, but all of it. It returns
	// false while none is shown.
	Export(rc RenderContext) (export.List, bool)
}

// ExportRow is the values of a row, nil for one that is gone.
type ExportRow func(rc RenderContext, key string) []any

// Export is the list with the values of ExportRow.
func (l *List) Export(rc RenderContext) (export.List, bool) {
	if l.OpenID != "" || l.ExportRow == nil || !l.Freshness(rc.Snapshot).Known() {
		return export.List{}, false
	}
	l.RefreshRows(rc)
	var rows [][]any
	for _, key := range l.Table.ListedKeys() {
		if values := l.ExportRow(rc, key); values != nil {
			rows = append(rows, values)
		}
	}
	out := export.List{Fields: l.ExportFields, Count: len(rows), Rows: export.Loaded(rows)}
	if l.ExportNote != nil {
		out.Note = l.ExportNote(rc)
	}
	return out, true
}

// TextOrNil is a text that may be missing.
func TextOrNil(text *string) any {
	if text == nil {
		return nil
	}
	return core.ShownName(*text)
}
