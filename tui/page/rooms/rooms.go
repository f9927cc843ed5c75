// Package rooms is the page of the rooms and the state of their keys. The detail of a
// room lists its members, those without a key, and those that could create a new one.
package rooms

import (
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

// Page keeps the table of rooms, and the members of the open one.
type Page struct {
	page.List
	members      *widget.Table // of the open room
	membersCache page.RowCache
	memberPages  int                  // pages of the open room's members that the operator has scrolled to
	moreMembers  bool                 // further pages exist
	roomFilter   string               // the filter that found the open room; it does not apply to members
	needsRekey   map[core.RoomID]bool // the rooms that need a new key
}

// New creates the page.
func New() *Page {
	m := &Page{members: widget.NewTable("This room has no members.",
		widget.Column{Title: "MEMBER", Max: 32, Min: 12}, widget.Column{Title: "ROLE"}, widget.Column{Title: "STATUS"},
		widget.Column{Title: "KEY"}, widget.Column{Title: "JOINED", Right: true}, widget.Column{Title: "ID"})}
	m.List = page.List{
		Kind: action.KindRoom, Subject: "the rooms", MaxAge: page.ListMaxAge, RowsMaxAge: 5 * time.Second, CopyHint: "copy id",
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Rooms.Freshness },
		Rows:      m.rows, Summary: m.summary, OnOpen: m.resetMembers,
		Table: widget.NewTable("There are no rooms yet. Users of the bus create them.",
			widget.Column{Title: "ROOM", Max: 28, Min: 8}, widget.Column{Title: "KEYS"}, widget.Column{Title: "EPOCH", Right: true}, widget.Column{Title: "KEY AGE", Right: true},
			widget.Column{Title: "MEMBERS", Right: true}, widget.Column{Title: "OWNER", Max: 16}, widget.Column{Title: "NAME", Min: 6, Max: 40}, widget.Column{Title: "CREATED", Right: true}),
	}
	return m
}

// Name returns "rooms".
func (m *Page) Name() action.PageName { return action.PageRooms }

func (m *Page) rows(rc page.RenderContext) []widget.Row {
	rows := make([]widget.Row, 0, len(rc.Snapshot.Rooms.Value))
	m.needsRekey = map[core.RoomID]bool{}
	for _, r := range rc.Snapshot.Rooms.Value {
		if r.Keys != nil && r.Keys.State == admin.KeysRekey {
			m.needsRekey[r.ID] = true
		}
		rows = append(rows, row(rc, r))
	}
	return rows
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
		widget.Number(float64(r.Members), widget.FormatCount(r.Members), ""),
		{Text: owner, Tone: theme.Dim},
		name,
		widget.AgeCell(rc.AgeOf(r.Created)),
	}}
}

func epochCell(r admin.RoomSummary) widget.Cell {
	if !r.Encrypted {
		return widget.NoNumber()
	}
	return widget.Number(float64(r.Epoch), widget.FormatCount(int(r.Epoch)), "")
}

// keyAgeCell is the age of the current key.
func keyAgeCell(rc page.RenderContext, k *admin.KeyHealth) widget.Cell {
	if k == nil || k.Since == 0 {
		return widget.NoNumber()
	}
	return widget.AgeCell(rc.AgeOf(k.Since))
}

// keyStateCell is the state of a room's key. Rooms that need attention sort
// first.
func keyStateCell(t theme.Theme, k *admin.KeyHealth) widget.Cell {
	glyph, tone, rank := t.Glyphs.Unknown+" ", theme.Dim, 2e9
	if k != nil {
		switch k.State {
		case admin.KeysRekey:
			glyph, tone, rank = t.Glyphs.Degraded+" ", theme.Warn, -float64(k.MustRekey)
		case admin.KeysMissing:
			glyph, tone, rank = t.Glyphs.Degraded+" ", theme.Warn, 1e9-float64(k.Unkeyed)
		case admin.KeysOK:
			glyph, tone, rank = t.Glyphs.Healthy+" ", theme.Good, 3e9
		case admin.KeysPlain:
			glyph, tone, rank = "", theme.Dim, 4e9
		case admin.KeysArchived:
			glyph, tone, rank = "", theme.Faint, 5e9
		}
	}
	return widget.Number(rank, glyph+k.Label(), "").WithTone(tone)
}

func (m *Page) summary(rc page.RenderContext) []string {
	members, sealed := 0, 0
	for _, r := range rc.Snapshot.Rooms.Value {
		members += r.Members
		if r.Encrypted {
			sealed++
		}
	}
	text := fmt.Sprintf("%s with %s, %s of them encrypted.", widget.Plural(len(rc.Snapshot.Rooms.Value), "room", "rooms"), widget.Plural(members, "membership", "memberships"), widget.FormatCount(sealed))
	lines := append(rc.Paragraph(theme.Plain, text+m.FilterText(rc)), attentionLines(rc)...)
	return append(lines, "")
}

// attentionLines count the rooms whose keys need attention, nil if none do.
func attentionLines(rc page.RenderContext) []string {
	rekey, missing := 0, 0
	for _, r := range rc.Snapshot.Rooms.Value {
		switch {
		case r.Keys == nil:
		case r.Keys.State == admin.KeysRekey:
			rekey++
		case r.Keys.State == admin.KeysMissing:
			missing++
		}
	}
	text := ""
	switch {
	case rekey > 0 && missing > 0:
		text = fmt.Sprintf("Rekey required in %s: /rekey lists them. In %s more, a member has no key.", widget.Plural(rekey, "room", "rooms"), widget.FormatCount(missing))
	case rekey > 0:
		text = fmt.Sprintf("Rekey required in %s: /rekey lists them.", widget.Plural(rekey, "room", "rooms"))
	case missing > 0:
		text = fmt.Sprintf("In %s, a member has no key.", widget.Plural(missing, "room", "rooms"))
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

// Subscription is the rooms and the open room. It includes the selected room if that
// needs a new key, because the dialog names the member that would be asked.
func (m *Page) Subscription(page.RenderContext) feed.Subscription {
	sub := feed.Subscription{Rooms: true, Room: m.OpenID, RoomIsOpen: m.OpenID != "", RoomPages: m.memberPages}
	if m.OpenID == "" && m.needsRekey[core.RoomID(m.Table.SelectedKey())] {
		sub.Room, sub.RoomPages = m.Table.SelectedKey(), 1
	}
	return sub
}

// ClipboardText is the id of the room or of the member.
func (m *Page) ClipboardText(rc page.RenderContext) (what, text string) {
	return page.CopyIDs(m.Selection(rc))
}
