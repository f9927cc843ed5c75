// Package rooms is the page of the rooms and the state of their keys. The detail of a
// room lists its members, those without a key, and those that could create a new one.
package rooms

import (
	"cmp"
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps the table of rooms, which is a window of the list that a node filters and
// sorts, and the members of the open one.
type Page struct {
	page.List
	members      *widget.Table // of the open room
	membersCache page.RowCache
	memberPages  int    // pages of the open room's members that the operator has scrolled to
	moreMembers  bool   // further pages exist
	roomFilter   string // the filter that found the open room; it does not apply to members
}

// New creates the page.
func New() *Page {
	m := &Page{members: widget.NewTable("This room has no members.",
		widget.Column{Title: "MEMBER", Max: 32, Min: 12}, widget.Column{Title: "ROLE"}, widget.Column{Title: "STATUS"},
		widget.Column{Title: "KEY"}, widget.Column{Title: "JOINED", Right: true}, widget.Column{Title: "ID"})}
	m.List = page.List{
		Kind: action.KindRoom, Subject: "the rooms", MaxAge: page.ListMaxAge, RowsMaxAge: 5 * time.Second, CopyHint: "copy id",
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Rooms.Freshness },
		Window:    m.loadWindow, Summary: m.summary, OnOpen: m.resetMembers,
		CommandOf: func(_ page.RenderContext, id string) string { return "unibusd room get " + core.ShellQuote(id) },
		Table: widget.NewTable("There are no rooms yet. Users of the bus create them.",
			widget.Column{Title: "ROOM", Max: 28, Min: 8}, widget.Column{Title: "KEYS"}, widget.Column{Title: "EPOCH", Right: true}, widget.Column{Title: "KEY AGE", Right: true},
			widget.Column{Title: "MEMBERS", Right: true}, widget.Column{Title: "OWNER", Max: 16}, widget.Column{Title: "NAME", Min: 6, Max: 40}, widget.Column{Title: "CREATED", Right: true}),
	}
	return m
}

// Name returns "rooms".
func (m *Page) Name() action.PageName { return action.PageRooms }

// Tables also has the members of the open room.
func (m *Page) Tables() []page.NamedTable {
	return append(m.List.Tables(), page.NamedTable{Name: "members", Table: m.members, IsShown: m.OpenID != ""})
}

// orders are the node's orders of the columns.
var orders = [...]core.RoomSort{
	core.RoomsByID, core.RoomsByKeys, core.RoomsByEpoch, core.RoomsByKeyAge,
	core.RoomsByMembers, core.RoomsByOwner, core.RoomsByName, core.RoomsByCreated,
}

// query is the list that the operator wants to see. A filter that was typed in an open room
// is about its members.
func (m *Page) query(rc page.RenderContext) core.RoomQuery {
	q := core.RoomQuery{Filter: rc.Filter}
	if m.OpenID != "" {
		q.Filter = m.roomFilter
	}
	if column, descending := m.Table.Order(); column >= 0 {
		isAge := orders[column] == core.RoomsByCreated // the least age is the latest time
		q.Sort, q.Descending = orders[column], descending != isAge
	}
	return q
}

// isAwaited is true while the newest answer is about another list than the wanted one.
func (m *Page) isAwaited(rc page.RenderContext) bool {
	return !rc.Snapshot.Rooms.Known() || rc.Snapshot.RoomsRequest.RoomQuery != m.query(rc)
}

// loadWindow is what the newest answer has of the list.
func (m *Page) loadWindow(rc page.RenderContext) widget.Window {
	if m.isAwaited(rc) {
		return widget.Window{Awaited: true}
	}
	p := rc.Snapshot.Rooms.Value
	out := widget.Window{Rows: make([]widget.Row, 0, len(p.Rooms)), Offset: p.Offset, Total: p.Total, Unfiltered: p.Counts.All}
	for _, r := range p.Rooms {
		out.Rows = append(out.Rows, row(rc, r))
	}
	return out
}

func row(rc page.RenderContext, r admin.RoomSummary) widget.Row {
	name := widget.Cell{Text: "", Tone: theme.Dim}
	if r.Name != nil {
		name.Text = core.ShownName(*r.Name)
	}
	owner := widget.TruncateMiddle(rc.Theme, string(r.Owner), 9)
	if r.OwnerName != nil && *r.OwnerName != "" {
		owner = core.ShownName(*r.OwnerName)
	}
	return widget.Row{Key: string(r.ID), IsDim: r.State == core.RoomArchived, Cells: []widget.Cell{
		{Text: string(r.ID)},
		keyStateCell(rc.Theme, r.Keys),
		epochCell(r), keyAgeCell(rc, r.Keys),
		{Text: widget.FormatCount(r.Members)},
		{Text: owner, Tone: theme.Dim},
		name,
		widget.AgeCell(rc.AgeOf(r.Created)),
	}}
}

func epochCell(r admin.RoomSummary) widget.Cell {
	if !r.Encrypted {
		return widget.NoNumber()
	}
	return widget.Cell{Text: widget.FormatCount(int(r.Epoch))}
}

// keyAgeCell is the age of the current key.
func keyAgeCell(rc page.RenderContext, k *admin.KeyHealth) widget.Cell {
	if k == nil || k.Since == 0 {
		return widget.NoNumber()
	}
	return widget.AgeCell(rc.AgeOf(k.Since))
}

// keyStateCell is the state of a room's key.
func keyStateCell(t theme.Theme, k *admin.KeyHealth) widget.Cell {
	glyph, tone := t.Glyphs.Unknown+" ", theme.Dim
	if k != nil {
		switch k.State {
		case admin.KeysRekey, admin.KeysMissing:
			glyph, tone = t.Glyphs.Degraded+" ", theme.Warn
		case admin.KeysOK:
			glyph, tone = t.Glyphs.Healthy+" ", theme.Good
		case admin.KeysPlain:
			glyph, tone = "", theme.Dim
		case admin.KeysArchived:
			glyph, tone = "", theme.Faint
		}
	}
	return widget.Cell{Text: glyph + k.Label(), Tone: tone}
}

func (m *Page) summary(rc page.RenderContext) []string {
	n := rc.Snapshot.Rooms.Value.Counts
	text := fmt.Sprintf("%s with %s, %s of them encrypted.", widget.Plural(n.All, "room", "rooms"), widget.Plural(n.Memberships, "membership", "memberships"), widget.FormatCount(n.Encrypted))
	isAwaited := m.isAwaited(rc)
	if !isAwaited {
		text += m.FilterText(rc)
	}
	lines := append(rc.Paragraph(theme.Plain, text), attentionLines(rc, n)...)
	if isAwaited {
		lines = append(lines, m.AwaitedLines(rc)...)
	}
	return append(lines, "")
}

// attentionLines count the rooms whose keys need attention, nil if none do.
func attentionLines(rc page.RenderContext, n admin.RoomCounts) []string {
	text := ""
	switch {
	case n.Rekey > 0 && n.Missing > 0:
		text = fmt.Sprintf("Rekey required in %s: /rekey lists them. In %s more, a member has no key.", widget.Plural(n.Rekey, "room", "rooms"), widget.FormatCount(n.Missing))
	case n.Rekey > 0:
		text = fmt.Sprintf("Rekey required in %s: /rekey lists them.", widget.Plural(n.Rekey, "room", "rooms"))
	case n.Missing > 0:
		text = fmt.Sprintf("In %s, a member has no key.", widget.Plural(n.Missing, "room", "rooms"))
	default:
		return nil
	}
	return rc.Paragraph(theme.Warn, rc.Theme.Glyphs.Degraded+" "+text)
}

// View draws the list, or the open room.
func (m *Page) View(rc page.RenderContext) string {
	if m.OpenID != "" {
		return m.roomDetail(rc)
	}
	return m.List.View(rc)
}

// Refreshed is of the open room, else of the list.
func (m *Page) Refreshed(rc page.RenderContext) (feed.Freshness, time.Duration) {
	if m.OpenID != "" {
		return rc.Snapshot.Room.Freshness, page.ListMaxAge
	}
	return m.List.Refreshed(rc)
}

// HandleKey also fetches more members when the cursor reaches the end of an open
// room's list.
func (m *Page) HandleKey(rc page.RenderContext, key string) page.KeyResult {
	if m.OpenID == "" {
		return m.List.HandleKey(rc, key)
	}
	m.refreshMembers(rc)
	wasAtEnd := m.members.AtEnd()
	handled := m.members.HandleKey(key)
	if handled && (wasAtEnd || m.members.AtEnd()) && m.moreMembers && m.membersLoaded(rc) {
		m.memberPages++
	}
	return page.KeyResult{Handled: handled}
}

// IsFilterable is true: an open room has a list of its members.
func (m *Page) IsFilterable() bool { return true }

// resetMembers starts with the first page of members when a room opens.
func (m *Page) resetMembers(rc page.RenderContext, _ string) {
	m.memberPages, m.moreMembers, m.roomFilter = 1, false, rc.Filter
}

// KeyHints are the page's own keys.
func (m *Page) KeyHints(rc page.RenderContext) []page.KeyHint {
	hints := m.List.KeyHints(rc)
	if m.OpenID != "" {
		hints = append(hints, page.KeyHint{Key: "s S", Does: "sort"})
	}
	return hints
}

// Selection is the selected room, or the selected member of the open room.
func (m *Page) Selection(rc page.RenderContext) action.Selection {
	if m.OpenID == "" {
		return m.List.Selection(rc)
	}
	m.refreshMembers(rc)
	sel := action.Selection{Room: m.OpenID}
	if id := m.members.SelectedKey(); id != "" {
		sel.Kind, sel.IDs = action.KindUser, []string{id}
	}
	return sel
}

// Subscription is the window of the list and the open room. It includes the selected room if
// that needs a new key, because the dialog names the member that would be asked.
func (m *Page) Subscription(rc page.RenderContext) feed.Subscription {
	w := feed.RoomWindow{}
	if m.OpenID == "" {
		m.RefreshRows(rc)
	}
	w.RoomQuery = m.query(rc)
	w.First, w.Rows = m.Table.Visible()
	w.Offset, w.Limit = m.Table.WantedWindow()
	w.Around = core.RoomID(cmp.Or(m.OpenID, m.Table.CursorKey()))
	sub := feed.Subscription{Rooms: &w, Room: m.OpenID, RoomIsOpen: m.OpenID != "", RoomPages: m.memberPages}
	selected := m.Table.SelectedKey()
	if r, listed := rc.Snapshot.ListedRoom(core.RoomID(selected)); m.OpenID == "" && listed && r.Keys != nil && r.Keys.State == admin.KeysRekey {
		sub.Room, sub.RoomPages = selected, 1
	}
	return sub
}

// ClipboardText is the id of the room or of the member.
func (m *Page) ClipboardText(rc page.RenderContext) (what, text string) {
	return page.CopyIDs(m.Selection(rc))
}
