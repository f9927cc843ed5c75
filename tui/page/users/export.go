package users

import (
	"context"
	"iter"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/export"
	"unibus/tui/page"
)

// Export asks a node for every user that the filter selects: the page has a part of them.
func (m *Page) Export(rc page.RenderContext) (export.List, bool) {
	if m.OpenID != "" || m.isAwaited(rc) {
		return export.List{}, false
	}
	request, now := core.UserPageRequest{UserQuery: m.query(rc), NoKeys: true}, core.MillisOf(rc.Now)
	return export.List{
		Fields: []string{"id", "name", "status", "role", "created", "changed", "expires", "last_seen_hour"}, Count: rc.Snapshot.Users.Value.Total,
		Rows: func(ctx context.Context, from export.Source) iter.Seq2[[]any, error] {
			return export.Paged(admin.UserPages(ctx, from.UserPage, request), func(p core.UserPage) (rows [][]any) {
				for _, u := range p.Users {
					rows = append(rows, []any{string(u.ID), page.TextOrNil(u.Name), string(u.StatusAt(now)), string(u.Role), u.Created, u.Updated, u.Expires, p.Seen[u.ID]})
				}
				return rows
			})
		},
	}, true
}
