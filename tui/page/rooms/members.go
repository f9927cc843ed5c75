package rooms

import (
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// loaded is true once everything that was wanted of the open room is there.
func (m *Model) loaded(s page.Scene) bool {
	d := s.Snap.Room.Value
	return s.Snap.RoomID == m.OpenID && s.Snap.Room.Known() && (d.Next == "" || len(d.Members) >= admin.PageSize*m.pages)
}

func (m *Model) loadMembers(s page.Scene) {
	if m.membersMemo.Fresh(s, 5*time.Second, m.OpenID, s.Snap.Room.N) {
		return
	}
	d := s.Snap.Room.Value
	m.more = d.Next != ""
	filter := s.Filter
	if filter == m.found {
		filter = ""
	}
	if filter != "" && m.more { // what is looked for may be anywhere
		m.pages = 1 + (d.Count+admin.PageSize-1)/admin.PageSize
	}
	rows := make([]widget.Row, 0, len(d.Members))
	for _, x := range d.Members {
		rows = append(rows, memberRow(s, d.Room, x))
	}
	m.members.Load(rows, filter)
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

// boxed says whether a member can read what is sealed with the current epoch's
// key; sorted, what wants somebody comes first.
func boxed(s page.Scene, r core.Room, x admin.RoomMember) widget.Cell {
	revoked := x.Status == core.UserRevoked
	switch g := s.Theme.Glyphs; {
	case !r.Encrypted:
		return widget.Num(4, "-", "").In(theme.Faint)
	case r.State == core.RoomArchived && x.Boxed:
		return widget.Num(2, "has", "").In(theme.Dim)
	case r.State == core.RoomArchived:
		return widget.Num(3, "none", "").In(theme.Dim)
	case x.Boxed && revoked:
		return widget.Num(0, g.Degraded+" still", "").In(theme.Warn)
	case x.Boxed:
		return widget.Num(2, g.Healthy+" has", "").In(theme.Good)
	case revoked:
		return widget.Num(3, "none", "").In(theme.Dim)
	default:
		return widget.Num(1, g.Degraded+" missing", "").In(theme.Warn)
	}
}

// listed says that there are more members than the table has, nil where there are not.
func (m *Model) listed(s page.Scene) []string {
	d := s.Snap.Room.Value
	if d.Next == "" {
		return nil
	}
	return s.Prose(theme.Dim, fmt.Sprintf("%s of %s members are listed; more are fetched at the end of the list.", widget.Count(len(d.Members)), widget.Count(d.Count)))
}
