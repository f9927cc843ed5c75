package rooms

import (
	"context"
	"iter"
	"slices"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/export"
	"unibus/tui/page"
)

// Export asks a node for every room that the filter selects: the page has a part of them.
func (m *Page) Export(rc page.RenderContext) (export.List, bool) {
	switch {
	case m.OpenID != "":
		return m.exportMembers(rc)
	case m.isAwaited(rc):
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

// exportMembers is every member of the open room: in the order of the screen where all are loaded, else as the
// node has them. A filter has all of them loaded first.
func (m *Page) exportMembers(rc page.RenderContext) (export.List, bool) {
	d, filter := rc.Snapshot.Room.Value, rc.Filter
	if filter == m.roomFilter {
		filter = ""
	}
	if !m.membersLoaded(rc) || filter != "" && d.Next != "" {
		return export.List{}, false
	}
	list := export.List{
		Name: "members-" + string(d.Room.ID), Filter: filter, Count: d.Count,
		Fields: []string{"user", "name", "role", "status", "has_key", "joined"},
	}
	if d.Next != "" {
		list.Rows = func(ctx context.Context, from export.Source) iter.Seq2[[]any, error] {
			return memberRows(ctx, from, string(d.Room.ID))
		}
		return list, true
	}
	m.refreshMembers(rc)
	var rows [][]any
	for _, key := range m.members.ListedKeys() {
		if i := slices.IndexFunc(d.Members, func(x admin.RoomMember) bool { return string(x.User) == key }); i >= 0 {
			rows = append(rows, exportMember(d.Members[i]))
		}
	}
	list.Count, list.Rows = len(rows), export.Loaded(rows)
	return list, true
}

// memberRows asks a node for one page of members after the other.
func memberRows(ctx context.Context, from export.Source, room string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for after := ""; ; {
			d, err := from.MemberPage(ctx, admin.RoomRequest{ID: room, After: after})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, x := range d.Members {
				if !yield(exportMember(x), nil) {
					return
				}
			}
			if after = d.Next; after == "" {
				return
			}
		}
	}
}

func exportMember(x admin.RoomMember) []any {
	return []any{string(x.User), page.TextOrNil(x.Name), string(x.Role), string(x.Status), x.Boxed, x.Joined}
}
