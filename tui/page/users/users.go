// Package users is the page of the users of the bus, active and revoked.
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

// Page keeps the table of users.
type Page struct{ page.List }

// New creates the page.
func New() *Page {
	m := &Page{}
	m.List = page.List{
		Kind: action.KindUser, Subject: "the users", MaxAge: page.ListMaxAge, RowsMaxAge: 5 * time.Second, CopyHint: "copy id",
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Users.Freshness },
		Rows:      rows, Summary: m.summary, Detail: detail, Gone: "This user no longer exists.",
		Table: widget.NewTable("There are no users yet: only operators can connect. Press a to add one.",
			widget.Column{Title: "NAME", Max: 32, Min: 12}, widget.Column{Title: "STATUS"}, widget.Column{Title: "ROLE"},
			widget.Column{Title: "ID"}, widget.Column{Title: "CHANGED", Right: true}, widget.Column{Title: "CREATED", Right: true}),
	}
	m.Table.RowsCanBeMarked = true
	return m
}

// Name returns "users".
func (m *Page) Name() action.PageName { return action.PageUsers }

func rows(rc page.RenderContext) []widget.Row {
	out := make([]widget.Row, 0, len(rc.Snapshot.Users.Value))
	for _, u := range rc.Snapshot.Users.Value {
		out = append(out, row(rc, u))
	}
	return out
}

func row(rc page.RenderContext, u core.User) widget.Row {
	name := widget.Cell{Text: "no name", Tone: theme.Faint}
	if u.Name != nil {
		name = widget.Cell{Text: core.ShownName(*u.Name)}
	}
	status := widget.Cell{Text: rc.Theme.Glyphs.Healthy + " active", Tone: theme.Good}
	current := statusOf(rc, u)
	switch {
	case current != core.UserActive:
		status = widget.Cell{Text: rc.Theme.Glyphs.Absent + " " + string(current), Tone: theme.Dim}
	case u.Expires != 0:
		status.Text = rc.Theme.Glyphs.Healthy + " until " + u.Expires.Time().In(rc.Now.Location()).Format(time.DateOnly)
	}
	return widget.Row{Key: string(u.ID), IsDim: current != core.UserActive, Cells: []widget.Cell{
		name, status,
		{Text: string(u.Role)},
		{Text: widget.TruncateMiddle(rc.Theme, string(u.ID), 11), Tone: theme.Dim},
		ageCell(rc, u.Updated), ageCell(rc, u.Created),
	}}
}

// statusOf is the status that counts now.
func statusOf(rc page.RenderContext, u core.User) core.UserStatus {
	return u.StatusAt(core.MillisOf(rc.Now))
}

func ageCell(rc page.RenderContext, m core.Millis) widget.Cell {
	if m == 0 {
		return widget.NoNumber()
	}
	return widget.AgeCell(rc.AgeOf(m))
}

func (m *Page) summary(rc page.RenderContext) []string {
	revoked, expired, admins := 0, 0, 0
	for _, u := range rc.Snapshot.Users.Value {
		switch status := statusOf(rc, u); {
		case status == core.UserRevoked:
			revoked++
		case status == core.UserExpired:
			expired++
		case u.Role == core.RoleAdmin:
			admins++
		}
	}
	n := len(rc.Snapshot.Users.Value)
	over := widget.FormatCount(revoked) + " revoked"
	if expired > 0 {
		over += ", " + widget.FormatCount(expired) + " expired"
	}
	text := fmt.Sprintf("%s: %s active, %s, %s.", widget.Plural(n, "user", "users"), widget.FormatCount(n-revoked-expired), over, widget.Plural(admins, "admin", "admins"))
	text += m.FilterText(rc)
	if k := m.Marked(); k > 0 {
		text += fmt.Sprintf(" %s marked.", widget.FormatCount(k))
	}
	return append(rc.Paragraph(theme.Plain, text), "")
}

func detail(rc page.RenderContext, id string) []string {
	for _, u := range rc.Snapshot.Users.Value {
		if string(u.ID) == id {
			return userDetail(rc, u)
		}
	}
	return nil
}

func userDetail(rc page.RenderContext, u core.User) []string {
	name := "no name"
	if u.Name != nil {
		name = core.ShownName(*u.Name)
	}
	var lines []string
	for _, l := range widget.Wrap(name, rc.Width-2) { // in full, however long
		lines = append(lines, " "+rc.Paint(theme.Strong, l))
	}
	lines = append(lines, "")
	f := page.LabeledLines{Context: rc, LabelWidth: 14}
	f.Add("id", string(u.ID))
	status := rc.Paint(theme.Good, rc.Theme.Glyphs.Healthy+" active") + ": can connect to every node"
	if current := statusOf(rc, u); current != core.UserActive {
		status = rc.Paint(theme.Dim, rc.Theme.Glyphs.Absent+" "+string(current)) + ": refused by every node"
	}
	f.Add("status", status)
	if u.Expires != 0 {
		f.Add("expires", rc.FormatMillis(u.Expires))
	}
	role := "member"
	if u.Role == core.RoleAdmin {
		role = "admin: manages users and rooms through the bus"
	}
	f.Add("role", role)
	f.Add("created", rc.FormatMillis(u.Created)+", "+widget.FormatAge(rc.AgeOf(u.Created))+" ago")
	f.Add("changed", rc.FormatMillis(u.Updated)+", "+widget.FormatAge(rc.AgeOf(u.Updated))+" ago")
	key := "none: room keys cannot be sealed to this user"
	if len(u.KEMKey) > 0 {
		key = widget.Plural(len(u.KEMKey), "byte", "bytes")
	}
	f.Add("encryption key", key)
	f.Add("owns", ownedRooms(rc, u))
	return append(lines, f.Lines...)
}

// ownedRooms lists the rooms of a user, as far as the rooms are known.
func ownedRooms(rc page.RenderContext, u core.User) string {
	var out []string
	for _, r := range rc.Snapshot.Rooms.Value {
		if r.Owner == u.ID {
			out = append(out, string(r.ID))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return strings.Join(out, ", ")
}

// Subscription is the users, and the rooms while a user is open.
func (m *Page) Subscription() feed.Subscription {
	return feed.Subscription{Users: true, Rooms: m.OpenID != ""}
}
