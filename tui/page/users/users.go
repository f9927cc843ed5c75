// Package users is the page of the users of the bus, active and revoked.
package users

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps the table of users: a window of the list that a node filters and sorts.
type Page struct {
	page.List
	marksAll bool // M was pressed, and some of the rows that it marks are still awaited
}

// maxMarks bounds the marked users: every poll asks for those that are out of sight, too.
const maxMarks = 500

// New creates the page.
func New() *Page {
	m := &Page{}
	m.List = page.List{
		Kind: action.KindUser, Subject: "the users", MaxAge: page.ListMaxAge, RowsMaxAge: 5 * time.Second, CopyHint: "copy id",
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Users.Freshness },
		Empty: func(rc page.RenderContext) string {
			return "There are no users yet: only operators can connect. Press " + rc.ActionKey("user add") + " to add one."
		},
		Window: m.loadWindow, ListedMarks: m.listedMarks, Summary: m.summary, Detail: detail, Gone: "This user no longer exists.",
		CommandOf: func(_ page.RenderContext, id string) string { return "unibusd user get " + core.ShellQuote(id) },
		Table: widget.NewTable("",
			widget.Column{Title: "NAME", Max: 32, Min: 12}, widget.Column{Title: "STATUS"}, widget.Column{Title: "ROLE"},
			widget.Column{Title: "ID"}, widget.Column{Title: "CHANGED", Right: true}, widget.Column{Title: "CREATED", Right: true}),
	}
	m.Table.RowsCanBeMarked = true
	return m
}

// Name returns "users".
func (m *Page) Name() action.PageName { return action.PageUsers }

// orders are the node's orders of the columns.
var orders = [...]core.UserSort{core.SortByName, core.SortByStatus, core.SortByRole, core.SortByID, core.SortByChanged, core.SortByCreated}

// query is the list that the operator wants to see.
func (m *Page) query(rc page.RenderContext) core.UserQuery {
	q := core.UserQuery{Filter: rc.Filter}
	if column, descending := m.Table.Order(); column >= 0 {
		isAge := orders[column] == core.SortByChanged || orders[column] == core.SortByCreated // the least age is the latest time
		q.Sort, q.Descending = orders[column], descending != isAge
	}
	return q
}

// isAwaited is true while the newest answer is about another list than the wanted one.
func (m *Page) isAwaited(rc page.RenderContext) bool {
	return !rc.Snapshot.Users.Known() || rc.Snapshot.UsersRequest.UserQuery != m.query(rc)
}

// loadWindow is what the newest answer has of the list.
func (m *Page) loadWindow(rc page.RenderContext) widget.Window {
	m.dropGoneMarks(rc)
	if m.isAwaited(rc) {
		m.marksAll = false // it was about another list
		return widget.Window{Awaited: true}
	}
	p := rc.Snapshot.Users.Value
	out := widget.Window{Rows: make([]widget.Row, 0, len(p.Users)), Offset: p.Offset, Total: p.Total, Unfiltered: p.Counts.All}
	for _, u := range p.Users {
		out.Rows = append(out.Rows, row(rc, u))
	}
	m.markLoaded(p)
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
	n := rc.Snapshot.Users.Value.Counts
	over := widget.FormatCount(n.Revoked) + " revoked"
	if n.Expired > 0 {
		over += ", " + widget.FormatCount(n.Expired) + " expired"
	}
	text := fmt.Sprintf("%s: %s active, %s, %s.", widget.Plural(n.All, "user", "users"), widget.FormatCount(n.Active), over, widget.Plural(n.Admins, "admin", "admins"))
	isAwaited := m.isAwaited(rc)
	if !isAwaited {
		text += m.FilterText(rc)
	}
	if k := m.Marked(rc); k > 0 {
		text += fmt.Sprintf(" %s marked.", widget.FormatCount(k))
	}
	lines := rc.Paragraph(theme.Plain, text)
	if isAwaited {
		lines = append(lines, m.AwaitedLines(rc)...)
	}
	return append(lines, "")
}

func detail(rc page.RenderContext, id string) []string {
	if u, known := rc.Snapshot.User(core.UserID(id)); known {
		return userDetail(rc, u)
	}
	if !slices.Contains(rc.Snapshot.UsersRequest.Named, core.UserID(id)) {
		return rc.Paragraph(theme.Dim, "Waiting for "+id+".")
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
	f.Add("last seen", lastSeen(rc, u.ID))
	for i, line := range sessionLines(rc, u.ID) {
		f.Add(map[bool]string{true: "sessions"}[i == 0], line)
	}
	f.Add("encryption key", keyText(rc, u))
	f.Add("owns", ownedRooms(rc, u))
	return append(lines, f.Lines...)
}

// ownedWindow is the first rooms of a user, as many as its page names.
func ownedWindow(id core.UserID) *feed.RoomWindow {
	const named = 100
	return &feed.RoomWindow{RoomPageRequest: core.RoomPageRequest{RoomQuery: core.RoomQuery{Owner: id}, Limit: named}}
}

// ownedRooms lists the rooms of a user, as far as they are known.
func ownedRooms(rc page.RenderContext, u core.User) string {
	owned := rc.Snapshot.Rooms.Value
	if rc.Snapshot.RoomsRequest.Owner != u.ID || len(owned.Rooms) == 0 {
		return ""
	}
	var out []string
	for _, r := range owned.Rooms {
		out = append(out, string(r.ID))
	}
	text := strings.Join(out, ", ")
	if n := owned.Total - len(out); n > 0 {
		text += fmt.Sprintf(" and %s more", widget.FormatCount(n))
	}
	return text
}

// keyText describes the user's encryption key; "" where the newest answer has it not.
func keyText(rc page.RenderContext, u core.User) string {
	switch isInWindow := slices.ContainsFunc(rc.Snapshot.Users.Value.Users, func(x core.User) bool { return x.ID == u.ID }); {
	case len(u.KEMKey) > 0:
		return widget.Plural(len(u.KEMKey), "byte", "bytes")
	case isInWindow && !rc.Snapshot.UsersRequest.NoKeys:
		return "none: room keys cannot be sealed to this user"
	}
	return "" // not asked for yet, or of a user that is only named
}

// Subscription is the window of the list, the users that are marked or open wherever they
// are in it, and the rooms of the open one.
func (m *Page) Subscription(rc page.RenderContext) feed.Subscription {
	m.RefreshRows(rc)
	w := feed.UserWindow{}
	w.UserQuery = m.query(rc)
	w.First, w.Rows = m.Table.Visible()
	w.Offset, w.Limit = m.Table.WantedWindow()
	w.Around = core.UserID(cmp.Or(m.OpenID, m.Table.CursorKey()))
	w.NoKeys = m.OpenID == "" // only the open user's key is described
	if m.marksAll {
		w.Offset, w.Limit, w.Around = 0, maxMarks, ""
	}
	for _, id := range m.Table.MarkedKeys() {
		w.Named = append(w.Named, core.UserID(id))
	}
	if id := core.UserID(m.OpenID); id != "" && !slices.Contains(w.Named, id) {
		w.Named = append(w.Named, id)
	}
	sub := feed.Subscription{Users: &w}
	if m.OpenID != "" {
		sub.Sessions = core.UserID(m.OpenID)
		sub.Rooms = ownedWindow(core.UserID(m.OpenID))
	}
	return sub
}
