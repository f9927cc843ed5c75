package rooms

import (
	"context"
	"iter"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/export"
	"unibus/tui/page"
)

// Export asks a node for every room that the filter selects: the page has a part of them.
func (m *Page) Export(rc page.RenderContext) (export.List, bool) {
	if m.OpenID != "" || m.isAwaited(rc) {
		return export.List{}, false
	}
	request := core.RoomPageRequest{RoomQuery: m.query(rc)}
	return export.List{
		Fields: []string{"room", "name", "owner", "owner_name", "encrypted", "epoch", "keys", "key_since", "members", "state", "created"}, Count: rc.Snapshot.Rooms.Value.Total,
		Rows: func(ctx context.Context, from export.Source) iter.Seq2[[]any, error] {
			return export.Paged(admin.RoomPages(ctx, from.RoomPage, request), func(p admin.RoomPage) (rows [][]any) {
				for _, r := range p.Rooms {
					rows = append(rows, exportRow(r))
				}
				return rows
			})
		},
	}, true
}

func exportRow(r admin.RoomSummary) []any {
	var keys, since any
	if r.Keys != nil {
		keys, since = r.Keys.Label(), r.Keys.Since
	}
	return []any{string(r.ID), page.TextOrNil(r.Name), string(r.Owner), page.TextOrNil(r.OwnerName), r.Encrypted, r.Epoch, keys, since, r.Members, string(r.State), r.Created}
}
