// Package users is the page of the endpoints of the bus: who may connect, and
// since when somebody may not.
package users

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Model is the page.
type Model struct{ page.List }

// New makes the page.
func New() *Model {
	m := &Model{}
	m.List = page.List{
		Kind: "user", Subject: "the users", MaxAge: page.FreshList, RowsEvery: 5 * time.Second, CopyHint: "copy id",
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Users.Freshness },
		Rows:   rows, Summary: m.summary, Detail: detail, Gone: "This user is not there any more.",
		Table: widget.NewTable("There are no users yet: nobody but operators may connect. a adds one.",
			widget.Column{Title: "NAME", Max: 32, Min: 12}, widget.Column{Title: "STATUS"}, widget.Column{Title: "ROLE"},
			widget.Column{Title: "ID"}, widget.Column{Title: "CHANGED", Right: true}, widget.Column{Title: "SINCE", Right: true}),
	}
	m.Table.Markable = true
	return m
}

// Name is users.
func (m *Model) Name() string { return "users" }

func rows(s page.Scene) []widget.Row {
	out := make([]widget.Row, 0, len(s.Snap.Users.Value))
	for _, u := range s.Snap.Users.Value {
		out = append(out, row(s, u))
	}
	return out
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

func (m *Model) summary(s page.Scene) []string {
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
	text += m.FilterText(s)
	if k := m.Marked(); k > 0 {
		text += fmt.Sprintf(" %s marked.", widget.Count(k))
	}
	return append(s.Prose(theme.Plain, text), "")
}

func detail(s page.Scene, id string) []string {
	for _, u := range s.Snap.Users.Value {
		if string(u.ID) == id {
			return userDetail(s, u)
		}
	}
	return nil
}

func userDetail(s page.Scene, u core.User) []string {
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

// Want is the users, and the rooms for what somebody owns.
func (m *Model) Want() feed.Want { return feed.Want{Users: true, Rooms: m.OpenID != ""} }
