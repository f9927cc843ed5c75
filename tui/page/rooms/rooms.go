// Package rooms is the page of the rooms and of their keys: which rooms need a
// new one and which members have none; and of one room, who that is, and who
// could make a new key.
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

// Model is the page.
type Model struct {
	page.List
	members     *widget.Table // of the open room
	membersMemo page.Memo
	pages       int                  // of the open room's members that somebody has come to
	more        bool                 // there are more of them
	found       string               // the filter under which the open room was found: it is not meant for the people in it
	wanting     map[core.RoomID]bool // those that need a new key
}

// New makes the page.
func New() *Model {
	m := &Model{members: widget.NewTable("Nobody is in this room.",
		widget.Column{Title: "MEMBER", Max: 32, Min: 12}, widget.Column{Title: "ROLE"}, widget.Column{Title: "STATUS"},
		widget.Column{Title: "KEY"}, widget.Column{Title: "JOINED", Right: true}, widget.Column{Title: "ID"})}
	m.List = page.List{
		Kind: "room", Subject: "the rooms", MaxAge: page.FreshList, RowsEvery: 5 * time.Second, CopyHint: "copy id",
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Rooms.Freshness },
		Rows:   m.rows, Summary: m.summary, OnOpen: m.resetMembers,
		Table: widget.NewTable("There are no rooms yet. Bus users make them; they appear here by themselves.",
			widget.Column{Title: "ROOM", Max: 28, Min: 8}, widget.Column{Title: "KEYS"}, widget.Column{Title: "EPOCH", Right: true}, widget.Column{Title: "AGE", Right: true},
			widget.Column{Title: "MEMBERS", Right: true}, widget.Column{Title: "OWNER", Max: 16}, widget.Column{Title: "NAME", Min: 6, Max: 40}, widget.Column{Title: "CREATED", Right: true}),
	}
	return m
}

// Name is rooms.
func (m *Model) Name() string { return "rooms" }

func (m *Model) rows(s page.Scene) []widget.Row {
	names := names(s)
	rows := make([]widget.Row, 0, len(s.Snap.Rooms.Value))
	m.wanting = map[core.RoomID]bool{}
	for _, r := range s.Snap.Rooms.Value {
		if r.Keys != nil && r.Keys.State == admin.KeysRekey {
			m.wanting[r.ID] = true
		}
		rows = append(rows, row(s, r, names))
	}
	return rows
}

func names(s page.Scene) map[core.UserID]string {
	out := map[core.UserID]string{}
	for _, u := range s.Snap.Users.Value {
		if u.Name != nil {
			out[u.ID] = *u.Name
		}
	}
	return out
}

func row(s page.Scene, r admin.RoomSummary, names map[core.UserID]string) widget.Row {
	name := widget.Cell{Text: "", Tone: theme.Dim}
	if r.Name != nil {
		name.Text = *r.Name
	}
	owner := names[r.Owner]
	if owner == "" {
		owner = widget.Middle(s.Theme, string(r.Owner), 9)
	}
	f, u := widget.AgeParts(s.Since(r.Created))
	return widget.Row{Key: string(r.ID), Dim: r.State == core.RoomArchived, Cells: []widget.Cell{
		{Text: string(r.ID)},
		keys(s.Theme, r.Keys),
		epoch(r), since(s, r.Keys),
		widget.Num(float64(r.Members), widget.Count(r.Members), ""),
		{Text: owner, Tone: theme.Dim},
		name,
		widget.Num(s.Since(r.Created).Seconds(), f, u),
	}}
}

// none stands where there is nothing to tell; it sorts behind every figure.
func none() widget.Cell { return widget.Num(1e15, "-", "").In(theme.Faint) }

func epoch(r admin.RoomSummary) widget.Cell {
	if !r.Encrypted {
		return none()
	}
	return widget.Num(float64(r.Epoch), widget.Count(int(r.Epoch)), "")
}

// since is how old the current key is.
func since(s page.Scene, k *admin.KeyHealth) widget.Cell {
	if k == nil || k.Since == 0 {
		return none()
	}
	f, u := widget.AgeParts(s.Since(k.Since))
	return widget.Num(s.Since(k.Since).Seconds(), f, u)
}

// keys is how it stands with a room's key; sorted, what wants somebody comes first.
func keys(t theme.Theme, k *admin.KeyHealth) widget.Cell {
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
	return widget.Num(rank, glyph+k.Word(), "").In(tone)
}

func (m *Model) summary(s page.Scene) []string {
	members, sealed := 0, 0
	for _, r := range s.Snap.Rooms.Value {
		members += r.Members
		if r.Encrypted {
			sealed++
		}
	}
	text := fmt.Sprintf("%s with %s, %s of them encrypted.", widget.Plural(len(s.Snap.Rooms.Value), "room", "rooms"), widget.Plural(members, "membership", "memberships"), widget.Count(sealed))
	lines := append(s.Prose(theme.Plain, text+m.FilterText(s)), wanting(s)...)
	return append(lines, "")
}

// wanting is a line about the rooms whose keys want somebody, nil where none does.
func wanting(s page.Scene) []string {
	rekey, missing := 0, 0
	for _, r := range s.Snap.Rooms.Value {
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
		text = fmt.Sprintf("Rekey required in %s: /rekey lists them. In %s more somebody has no key.", widget.Plural(rekey, "room", "rooms"), widget.Count(missing))
	case rekey > 0:
		text = fmt.Sprintf("Rekey required in %s: /rekey lists them.", widget.Plural(rekey, "room", "rooms"))
	case missing > 0:
		text = fmt.Sprintf("In %s somebody has no key.", widget.Plural(missing, "room", "rooms"))
	default:
		return nil
	}
	return s.Prose(theme.Warn, s.Theme.Glyphs.Degraded+" "+text)
}

// View draws the list, or the open room.
func (m *Model) View(s page.Scene) string {
	if m.OpenID != "" {
		return m.detail(s)
	}
	return m.List.View(s)
}

// Key fetches more members, too, when the cursor comes to the end of an open room's list.
func (m *Model) Key(s page.Scene, key string) page.Effect {
	if m.OpenID == "" {
		return m.List.Key(s, key)
	}
	m.loadMembers(s)
	was := m.members.AtEnd()
	handled := m.members.Key(key)
	if handled && (was || m.members.AtEnd()) && m.more && m.loaded(s) {
		m.pages++
	}
	return page.Effect{Handled: handled}
}

// resetMembers begins with the first page of the members of a room that is being opened.
func (m *Model) resetMembers(s page.Scene, _ string) {
	m.pages, m.more, m.found = 1, false, s.Filter
}

// Hints are the page's own keys.
func (m *Model) Hints(s page.Scene) []page.Hint {
	hints := m.List.Hints(s)
	if m.OpenID != "" {
		hints = append(hints, page.Hint{Key: "s S", Does: "sort"})
	}
	return hints
}

// Selection is the selected room, or the selected member of the open one.
func (m *Model) Selection(s page.Scene) action.Selection {
	if m.OpenID == "" {
		return m.List.Selection(s)
	}
	m.loadMembers(s)
	sel := action.Selection{Room: m.OpenID}
	if id := m.members.Selected(); id != "" {
		sel.Kind, sel.IDs = "user", []string{id}
	}
	return sel
}

// Want is the rooms, the users for their owners' names, and the open room; in
// the list the selected one too where it needs a new key: the question whether to
// ask for one names who is asked.
func (m *Model) Want() feed.Want {
	w := feed.Want{Rooms: true, Users: true, Room: m.OpenID, RoomPages: m.pages}
	if m.OpenID == "" && m.wanting[core.RoomID(m.Table.Selected())] {
		w.Room, w.RoomPages = m.Table.Selected(), 1
	}
	return w
}

// Copy is the id of the room, or of the member.
func (m *Model) Copy(s page.Scene) (what, text string) { return page.CopyIDs(m.Selection(s)) }
