// Package rooms is the page of the rooms, and of who is in each: their status,
// and whether they hold a sealed key of the current epoch.
package rooms

import (
	"fmt"
	"strings"
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
	table   *widget.Table
	members *widget.Table
	open    string
	memo    page.Memo
}

// New makes the page.
func New() *Model {
	return &Model{
		table: widget.NewTable("There are no rooms yet. Bus users make them; they appear here by themselves.",
			widget.Column{Title: "ROOM", Max: 28}, widget.Column{Title: "MEMBERS", Right: true}, widget.Column{Title: "EPOCH", Right: true},
			widget.Column{Title: "KEYS"}, widget.Column{Title: "OWNER", Max: 16}, widget.Column{Title: "SINCE", Right: true}, widget.Column{Title: "NAME", Min: 8, Max: 40}),
		members: widget.NewTable("Nobody is in this room.",
			widget.Column{Title: "MEMBER", Max: 32, Min: 12}, widget.Column{Title: "ROLE"}, widget.Column{Title: "STATUS"},
			widget.Column{Title: "KEY"}, widget.Column{Title: "JOINED", Right: true}, widget.Column{Title: "ID"}),
	}
}

// Name is rooms.
func (m *Model) Name() string { return "rooms" }

func (m *Model) load(s page.Scene) {
	if m.memo.Fresh(s, 5*time.Second, m.open, s.Snap.Rooms.N, s.Snap.Room.N) {
		return
	}
	if m.open != "" {
		m.loadMembers(s)
		return
	}
	names := names(s)
	rows := make([]widget.Row, 0, len(s.Snap.Rooms.Value))
	for _, r := range s.Snap.Rooms.Value {
		rows = append(rows, row(s, r, names))
	}
	m.table.Load(rows, s.Filter)
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
	keys := widget.Cell{Text: "open", Tone: theme.Dim}
	if r.Encrypted {
		keys = widget.Cell{Text: "sealed"}
	}
	owner := names[r.Owner]
	if owner == "" {
		owner = widget.Middle(s.Theme, string(r.Owner), 9)
	}
	f, u := widget.AgeParts(s.Since(r.Created))
	return widget.Row{Key: string(r.ID), Dim: r.State == core.RoomArchived, Cells: []widget.Cell{
		{Text: string(r.ID)},
		widget.Num(float64(r.Members), widget.Count(r.Members), ""),
		widget.Num(float64(r.Epoch), widget.Count(int(r.Epoch)), ""), keys,
		{Text: owner, Tone: theme.Dim},
		widget.Num(s.Since(r.Created).Seconds(), f, u), name,
	}}
}

func (m *Model) loadMembers(s page.Scene) {
	rows := make([]widget.Row, 0, len(s.Snap.Room.Value.Members))
	for _, x := range s.Snap.Room.Value.Members {
		rows = append(rows, memberRow(s, s.Snap.Room.Value.Room, x))
	}
	m.members.Load(rows, s.Filter)
}

func memberRow(s page.Scene, r core.Room, x admin.RoomMember) widget.Row {
	name := widget.Cell{Text: "no name", Tone: theme.Faint}
	if x.Name != nil {
		name = widget.Cell{Text: *x.Name}
	}
	g := s.Theme.Glyphs
	status := widget.Cell{Text: g.Healthy + " active", Tone: theme.Good}
	switch x.Status {
	case core.UserRevoked:
		status = widget.Cell{Text: g.Absent + " revoked", Tone: theme.Dim}
	case core.UserActive:
	default:
		status = widget.Cell{Text: g.Unknown + " unknown", Tone: theme.Dim}
	}
	f, u := widget.AgeParts(s.Since(x.Joined))
	return widget.Row{Key: string(x.User), Dim: x.Status == core.UserRevoked, Cells: []widget.Cell{
		name,
		{Text: string(x.Role)},
		status, boxed(s, r, x), widget.Num(s.Since(x.Joined).Seconds(), f, u),
		{Text: widget.Middle(s.Theme, string(x.User), 11), Tone: theme.Dim},
	}}
}

// boxed says whether a member can read what is sealed with the current epoch's key.
func boxed(s page.Scene, r core.Room, x admin.RoomMember) widget.Cell {
	switch {
	case !r.Encrypted:
		return widget.Cell{Text: "-", Tone: theme.Faint}
	case x.Boxed && x.Status == core.UserRevoked:
		return widget.Cell{Text: s.Theme.Glyphs.Degraded + " still", Tone: theme.Warn}
	case x.Boxed:
		return widget.Cell{Text: s.Theme.Glyphs.Healthy + " has", Tone: theme.Good}
	case x.Status == core.UserRevoked:
		return widget.Cell{Text: "none", Tone: theme.Dim}
	}
	return widget.Cell{Text: s.Theme.Glyphs.Degraded + " missing", Tone: theme.Warn}
}

// View draws the table, or the open room.
func (m *Model) View(s page.Scene) string {
	if m.open != "" {
		return m.detail(s)
	}
	if wait := page.Await(s, "the rooms", s.Snap.Rooms); wait != nil {
		return s.Keep(wait)
	}
	m.load(s)
	lines := page.Stale(s, s.Snap.Rooms, page.FreshList)
	lines = append(lines, s.Prose(theme.Plain, m.summary(s))...)
	lines = append(lines, "")
	return s.Keep(append(lines, m.table.View(s.Theme, s.W, s.H-len(lines))))
}

func (m *Model) summary(s page.Scene) string {
	members, sealed := 0, 0
	for _, r := range s.Snap.Rooms.Value {
		members += r.Members
		if r.Encrypted {
			sealed++
		}
	}
	text := fmt.Sprintf("%s with %s, %s of them encrypted.", widget.Plural(len(s.Snap.Rooms.Value), "room", "rooms"), widget.Plural(members, "membership", "memberships"), widget.Count(sealed))
	if s.Filter != "" {
		text += fmt.Sprintf(" %s match /%s.", widget.Count(m.table.Len()), s.Filter)
	}
	return text
}

func (m *Model) detail(s page.Scene) string {
	if s.Snap.RoomID != m.open {
		return s.Keep(s.Prose(theme.Dim, "Waiting for "+m.open+"."))
	}
	if wait := page.Await(s, m.open, s.Snap.Room); wait != nil {
		return s.Keep(wait)
	}
	m.load(s)
	lines := page.Stale(s, s.Snap.Room, page.FreshList)
	lines = append(lines, head(s)...)
	lines = append(lines, "")
	return s.Keep(append(lines, m.members.View(s.Theme, s.W, s.H-len(lines))))
}

func head(s page.Scene) []string {
	d := s.Snap.Room.Value
	title := string(d.Room.ID)
	if d.Room.Name != nil && *d.Room.Name != "" {
		title += "  " + *d.Room.Name
	}
	lines := s.Prose(theme.Strong, title)
	missing, still := 0, 0
	for _, x := range d.Members {
		if !x.Boxed && x.Status == core.UserActive {
			missing++
		}
		if x.Boxed && x.Status == core.UserRevoked {
			still++
		}
	}
	text := fmt.Sprintf("%s, epoch %d, created %s.", widget.Plural(len(d.Members), "member", "members"), d.Room.Epoch, s.Clock(d.Room.Created))
	if !d.Room.Encrypted {
		return append(lines, s.Prose(theme.Plain, text+" It is not encrypted: servers can read what is said.")...)
	}
	lines = append(lines, s.Prose(theme.Plain, text)...)
	if still > 0 {
		lines = append(lines, s.Prose(theme.Warn, fmt.Sprintf("Somebody who is revoked still holds the current key (%d): a member should rekey the room.", still))...)
	}
	if missing > 0 {
		lines = append(lines, s.Prose(theme.Warn, fmt.Sprintf("%s no key of the current epoch and cannot read: a member should seal it to them.", have(missing)))...)
	}
	return lines
}

func have(n int) string {
	if n == 1 {
		return "1 active member has"
	}
	return widget.Count(n) + " active members have"
}

// Key moves and opens.
func (m *Model) Key(s page.Scene, key string) page.Effect {
	m.load(s)
	if m.open != "" {
		return page.Effect{Handled: m.members.Key(key, s.H-5, false)}
	}
	if key == "enter" {
		m.open = m.table.Selected()
		return page.Effect{Handled: true}
	}
	return page.Effect{Handled: m.table.Key(key, s.H-3, false)}
}

// Open shows a room.
func (m *Model) Open(_ page.Scene, id string) {
	m.table.Select(id)
	m.open = id
}

// Back closes the open room.
func (m *Model) Back() bool {
	was := m.open != ""
	m.open = ""
	return was
}

// Hints are the page's own keys.
func (m *Model) Hints(page.Scene) []page.Hint {
	if m.open != "" {
		return []page.Hint{{Key: "esc", Does: "back"}, {Key: "y", Does: "copy id"}, {Key: "s S", Does: "sort"}}
	}
	return []page.Hint{{Key: "enter", Does: "open"}, {Key: "s S", Does: "sort"}}
}

// Selection is the selected room, or the selected member of the open one.
func (m *Model) Selection(s page.Scene) action.Selection {
	m.load(s)
	kind, id := "room", m.table.Selected()
	if m.open != "" {
		kind, id = "user", m.members.Selected()
	}
	if id == "" {
		return action.Selection{}
	}
	return action.Selection{Kind: kind, IDs: []string{id}}
}

// Want is the rooms, the users for their owners' names, and the open room.
func (m *Model) Want() feed.Want { return feed.Want{Rooms: true, Users: true, Room: m.open} }

// Done has no marks to take away.
func (m *Model) Done() {}

// Copy is the id of the room, or of the member.
func (m *Model) Copy(s page.Scene) (string, string) {
	ids := strings.Join(m.Selection(s).IDs, "\n")
	return "the id", ids
}
