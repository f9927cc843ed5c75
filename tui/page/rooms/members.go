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

// membersLoaded is true once all requested pages of the open room have arrived.
func (m *Page) membersLoaded(rc page.RenderContext) bool {
	d := rc.Snapshot.Room.Value
	return rc.Snapshot.RoomID == m.OpenID && rc.Snapshot.Room.Known() && (d.Next == "" || len(d.Members) >= admin.PageSize*m.memberPages)
}

func (m *Page) refreshMembers(rc page.RenderContext) {
	if !m.membersCache.Update(rc, 5*time.Second, m.OpenID, rc.Snapshot.Room.Answers) {
		return
	}
	d := rc.Snapshot.Room.Value
	m.moreMembers = d.Next != ""
	filter := rc.Filter
	if filter == m.roomFilter {
		filter = ""
	}
	if filter != "" && m.moreMembers { // a match may be on any page
		m.memberPages = 1 + (d.Count+admin.PageSize-1)/admin.PageSize
	}
	rows := make([]widget.Row, 0, len(d.Members))
	for _, x := range d.Members {
		rows = append(rows, memberRow(rc, d.Room, x))
	}
	m.members.SetRows(rows, filter)
}

func memberRow(rc page.RenderContext, r core.Room, x admin.RoomMember) widget.Row {
	name := widget.Cell{Text: "no name", Tone: theme.Faint}
	if x.Name != nil {
		name = widget.Cell{Text: core.ShownName(*x.Name)}
	}
	g := rc.Theme.Glyphs
	status := widget.Cell{Text: g.Healthy + " active", Tone: theme.Good}
	switch x.Status {
	case core.UserRevoked:
		status = widget.Cell{Text: g.Absent + " revoked", Tone: theme.Dim}
	case core.UserExpired:
		status = widget.Cell{Text: g.Absent + " expired", Tone: theme.Dim}
	case core.UserActive:
	default:
		status = widget.Cell{Text: g.Unknown + " unknown", Tone: theme.Dim}
	}
	return widget.Row{Key: string(x.User), IsDim: x.Status == core.UserRevoked || x.Status == core.UserExpired, Cells: []widget.Cell{
		name,
		{Text: string(x.Role)},
		status, keyCell(rc, r, x), widget.AgeCell(rc.AgeOf(x.Joined)),
		{Text: widget.TruncateMiddle(rc.Theme, string(x.User), 11), Tone: theme.Dim},
	}}
}

// keyCell says whether a member holds the current epoch's key. Members that need
// attention sort first.
func keyCell(rc page.RenderContext, r core.Room, x admin.RoomMember) widget.Cell {
	inactive := x.Status != core.UserActive // as the node counts who must not know the key
	switch g := rc.Theme.Glyphs; {
	case !r.Encrypted:
		return widget.RankedText(4, "-").WithTone(theme.Faint)
	case r.State == core.RoomArchived && x.Boxed:
		return widget.RankedText(2, "has").WithTone(theme.Dim)
	case r.State == core.RoomArchived:
		return widget.RankedText(3, "none").WithTone(theme.Dim)
	case x.Boxed && inactive:
		return widget.RankedText(0, g.Degraded+" still has").WithTone(theme.Warn)
	case x.Boxed:
		return widget.RankedText(2, g.Healthy+" has").WithTone(theme.Good)
	case inactive:
		return widget.RankedText(3, "none").WithTone(theme.Dim)
	default:
		return widget.RankedText(1, g.Degraded+" missing").WithTone(theme.Warn)
	}
}

// membersListed says that the room has more members than the table, nil if not.
func (m *Page) membersListed(rc page.RenderContext) []string {
	d := rc.Snapshot.Room.Value
	if d.Next == "" {
		return nil
	}
	return rc.Paragraph(theme.Dim, fmt.Sprintf("%s of %s members are listed; more are fetched at the end of the list.", widget.FormatCount(len(d.Members)), widget.FormatCount(d.Count)))
}
