// Package users is the page of the endpoints of the bus: who may connect, and
// since when somebody may not.
package users

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct {
	table *widget.Table
	open  string
	memo  page.Memo
}

// New makes the page.
func New() *Model {
	return &Model{table: widget.NewTable("There are no users yet: nobody but operators may connect. a adds one.",
		widget.Column{Title: "NAME", Max: 32, Min: 12}, widget.Column{Title: "STATUS"}, widget.Column{Title: "ROLE"},
		widget.Column{Title: "ID"}, widget.Column{Title: "CHANGED", Right: true}, widget.Column{Title: "SINCE", Right: true})}
}

// Name is users.
func (m *Model) Name() string { return "users" }

func (m *Model) load(s page.Scene) {
	if m.memo.Fresh(s, 5*time.Second, "", s.Snap.Users.N) {
		return
	}
	rows := make([]widget.Row, 0, len(s.Snap.Users.Value))
	for _, u := range s.Snap.Users.Value {
		rows = append(rows, row(s, u))
	}
	m.table.Load(rows, s.Filter)
}

func row(s page.Scene, u core.User) widget.Row {
	name := widget.Cell{Text: "no name", Tone: theme.Faint}
	if u.Name != nil {
		name = widget.Cell{Text: *u.Name}
	}
	status := widget.Cell{Text: s.Theme.Glyphs.Healthy + " active", Tone: theme.Good}
	if u.Status == core.UserRevoked {
		status = widget.Cell{Text: s.Theme.Glyphs.Absent + " revoked", Tone: theme.Dim}
	}
	return widget.Row{Key: string(u.ID), Dim: u.Status == core.UserRevoked, Cells: []widget.Cell{
		name, status,
		{Text: string(u.Role)},
		{Text: widget.Middle(s.Theme, string(u.ID), 11), Tone: theme.Dim},
		age(s, u.Updated), age(s, u.Created),
	}}
}

func age(s page.Scene, m core.Millis) widget.Cell {
	if m == 0 {
		return widget.Num(1e15, "-", "").In(theme.Faint)
	}
	f, u := widget.AgeParts(s.Since(m))
	return widget.Num(s.Since(m).Seconds(), f, u)
}

// View draws the table, or the open user.
func (m *Model) View(s page.Scene) string {
	if wait := page.Await(s, "the users", s.Snap.Users); wait != nil {
		return s.Keep(wait)
	}
	m.load(s)
	lines := page.Stale(s, s.Snap.Users, page.FreshList)
	if m.open != "" {
		return s.Keep(append(lines, m.detail(s)...))
	}
	lines = append(lines, s.Prose(theme.Plain, m.summary(s))...)
	lines = append(lines, "")
	return s.Keep(append(lines, m.table.View(s.Theme, s.W, s.H-len(lines))))
}

func (m *Model) summary(s page.Scene) string {
	revoked, admins := 0, 0
	for _, u := range s.Snap.Users.Value {
		if u.Status == core.UserRevoked {
			revoked++
		} else if u.Role == core.RoleAdmin {
			admins++
		}
	}
	n := len(s.Snap.Users.Value)
	text := fmt.Sprintf("%s: %s active, %s revoked, %s.", widget.Plural(n, "user", "users"), widget.Count(n-revoked), widget.Count(revoked), widget.Plural(admins, "admin", "admins"))
	if s.Filter != "" {
		text += fmt.Sprintf(" %s match /%s.", widget.Count(m.table.Len()), s.Filter)
	}
	if k := m.Marked(); k > 0 {
		text += fmt.Sprintf(" %s marked.", widget.Count(k))
	}
	return text
}

func (m *Model) detail(s page.Scene) []string {
	for _, u := range s.Snap.Users.Value {
		if string(u.ID) == m.open {
			return detail(s, u)
		}
	}
	return s.Prose(theme.Plain, "This user is not there any more. Esc goes back.")
}

func detail(s page.Scene, u core.User) []string {
	name := "no name"
	if u.Name != nil {
		name = widget.Clean(*u.Name)
	}
	var lines []string
	for _, l := range widget.Wrap(name, s.W-2) { // whole, however long
		lines = append(lines, " "+s.P(theme.Strong, l))
	}
	lines = append(lines, "")
	f := page.Facts{Scene: s, Label: 10}
	f.Add("id", string(u.ID))
	status := s.P(theme.Good, s.Theme.Glyphs.Healthy+" active") + ": may connect on every node"
	if u.Status == core.UserRevoked {
		status = s.P(theme.Dim, s.Theme.Glyphs.Absent+" revoked") + ": refused on every node"
	}
	f.Add("status", status)
	role := "member"
	if u.Role == core.RoleAdmin {
		role = "admin: manages users and rooms through the bus"
	}
	f.Add("role", role)
	f.Add("created", s.Clock(u.Created)+", "+widget.Age(s.Since(u.Created))+" ago")
	f.Add("changed", s.Clock(u.Updated)+", "+widget.Age(s.Since(u.Updated))+" ago")
	key := "none: room keys cannot be sealed to this user"
	if len(u.KEMKey) > 0 {
		key = widget.Plural(len(u.KEMKey), "byte", "bytes")
	}
	f.Add("kem key", key)
	f.Add("rooms", owned(s, u))
	return append(lines, f.Lines...)
}

// owned are the rooms that belong to a user, as far as the list of rooms is known.
func owned(s page.Scene, u core.User) string {
	var out []string
	for _, r := range s.Snap.Rooms.Value {
		if r.Owner == u.ID {
			out = append(out, string(r.ID))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "owns " + strings.Join(out, ", ")
}

// Key moves, marks and opens.
func (m *Model) Key(s page.Scene, key string) page.Effect {
	m.load(s)
	if m.open != "" {
		return page.Effect{}
	}
	if key == "enter" {
		m.open = m.table.Selected()
		return page.Effect{Handled: true}
	}
	return page.Effect{Handled: m.table.Key(key, s.H-3, true)}
}

// Open shows a user.
func (m *Model) Open(s page.Scene, id string) {
	m.load(s)
	m.table.Select(id)
	m.open = id // the table may not have it: a filter hides it
}

// Back closes the open user.
func (m *Model) Back() bool {
	was := m.open != ""
	m.open = ""
	return was
}

// Marked is how many of the shown users are marked.
func (m *Model) Marked() int { return len(m.table.Marked()) }

// Unmark takes the marks away.
func (m *Model) Unmark() bool {
	if m.Marked() == 0 {
		return false
	}
	m.table.ClearMarks()
	return true
}

// Hints are the page's own keys.
func (m *Model) Hints(page.Scene) []page.Hint {
	if m.open != "" {
		return []page.Hint{{Key: "esc", Does: "back"}, {Key: "y", Does: "copy id"}}
	}
	return []page.Hint{{Key: "enter", Does: "open"}, {Key: "m M", Does: "mark"}, {Key: "s S", Does: "sort"}}
}

// Selection is the open user, else the marked ones, else the selected one.
func (m *Model) Selection(s page.Scene) action.Selection {
	m.load(s)
	sel := action.Selection{Kind: "user"}
	switch marked := m.table.Marked(); {
	case m.open != "":
		sel.IDs = []string{m.open}
	case len(marked) > 0:
		sel.IDs = marked
	case m.table.Selected() != "":
		sel.IDs = []string{m.table.Selected()}
	}
	return sel
}

// Want is the users, and the rooms for what somebody owns.
func (m *Model) Want() feed.Want { return feed.Want{Users: true, Rooms: m.open != ""} }

// Done takes the marks of these users away: what was to be done to them was done.
func (m *Model) Done(did action.Selection) {
	if did.Kind == "user" {
		m.table.Unmark(did.IDs)
	}
}

// Copy is the id.
func (m *Model) Copy(s page.Scene) (string, string) {
	ids := m.Selection(s).IDs
	if len(ids) == 0 {
		return "", ""
	}
	return widget.Plural(len(ids), "id", "ids"), strings.Join(ids, "\n")
}
