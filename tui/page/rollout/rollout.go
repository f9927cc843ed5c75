// Package rollout is the page on the way to enforce: whether it can be turned
// on, what each node runs against what is declared, and whom it would deny.
package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
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
		Subject: "every node's account of whom it would deny", MaxAge: page.FreshList, RowsEvery: 5 * time.Second, CopyHint: "copy key",
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Rollout.Freshness },
		Rows:   rows, Summary: m.summary, Detail: detail, Gone: "This is not listed any more: they were admitted since, or have not come back for a day.",
		Table: widget.NewTable("", // see nobody
			widget.Column{Title: "NODE"}, widget.Column{Title: "KEY"}, widget.Column{Title: "ADDRESS", Max: 39}, widget.Column{Title: "COUNT", Right: true},
			widget.Column{Title: "FIRST", Right: true}, widget.Column{Title: "LAST", Right: true}, widget.Column{Title: "REASON", Min: 10}),
	}
	return m
}

// Name is rollout.
func (m *Model) Name() string { return "rollout" }

func names(r admin.Rollout) []string { return slices.Sorted(maps.Keys(r.Nodes)) }

func key(node string, d admin.Denied) string {
	return strings.Join([]string{node, d.Key, d.Addr, d.Reason}, " ")
}

func rows(s page.Scene) []widget.Row {
	r := s.Snap.Rollout.Value
	var out []widget.Row
	for _, n := range names(r) {
		for _, d := range r.Nodes[n].WouldDeny {
			out = append(out, row(s, n, d))
		}
	}
	return out
}

func find(s page.Scene, id string) (node string, d admin.Denied, found bool) {
	r := s.Snap.Rollout.Value
	for _, n := range names(r) {
		for _, d := range r.Nodes[n].WouldDeny {
			if key(n, d) == id {
				return n, d, true
			}
		}
	}
	return "", admin.Denied{}, false
}

func row(s page.Scene, node string, d admin.Denied) widget.Row {
	k := widget.Cell{Text: "none", Tone: theme.Faint}
	if d.Key != "" {
		k = widget.Cell{Text: widget.Middle(s.Theme, d.Key, 11)}
	}
	first, fu := widget.AgeParts(s.Since(d.First))
	last, lu := widget.AgeParts(s.Since(d.Last))
	return widget.Row{Key: key(node, d), Cells: []widget.Cell{
		{Text: node},
		k,
		{Text: d.Addr},
		widget.Num(float64(d.Count), widget.Count(d.Count), ""),
		widget.Num(s.Since(d.First).Seconds(), first, fu), widget.Num(s.Since(d.Last).Seconds(), last, lu),
		{Text: d.Reason},
	}}
}

// nobody is why the table is empty, and what would fill it.
func nobody(r admin.Rollout) string {
	text := "Nobody so far."
	blind := where(r, func(n admin.RolloutNode) bool {
		return n.Unknown || n.Active[admin.FlagBusAuth] == string(core.BusAuthOff)
	})
	switch {
	case len(blind) > 0:
		text = "Nobody that is known of; " + strings.Join(blind, ", ") + " could not say."
	case len(where(r, func(n admin.RolloutNode) bool { return n.Active[admin.FlagBusAuth] == string(core.BusAuthSoft) })) == 0:
		return "Nothing is recorded under enforce: who does not belong is denied at once. A node in soft mode lists here whom enforce would deny."
	}
	return text + " Whom a node in soft mode admits though enforce would deny them appears here, with the reason."
}

func (m *Model) summary(s page.Scene) []string {
	r := s.Snap.Rollout.Value
	m.Table.Empty = nobody(r)
	lines := append(verdict(s, r), "")
	lines = append(lines, active(s, r)...)
	match := ""
	if s.Filter != "" {
		match = fmt.Sprintf("   %s match /%s", widget.Count(m.Table.Len()), widget.Clean(s.Filter))
	}
	return append(lines, "", " "+s.P(theme.Dim, "WOULD BE DENIED"+match))
}

func detail(s page.Scene, id string) []string {
	node, d, found := find(s, id)
	if !found {
		return nil
	}
	k := d.Key
	if k == "" {
		k = "none was shown"
	}
	lines := []string{" " + s.P(theme.Warn, s.Theme.Glyphs.Degraded+" would be denied") + "  " + s.P(theme.Strong, widget.Clean("by "+node)), ""}
	f := page.Facts{Scene: s, Label: 7}
	f.Add("key", widget.Clean(k))
	f.Add("address", widget.Clean(d.Addr))
	f.Add("reason", widget.Clean(d.Reason))
	f.Add("seen", widget.Plural(d.Count, "time", "times"))
	f.Add("first", s.Clock(d.First)+", "+widget.Age(s.Since(d.First))+" ago")
	f.Add("last", s.Clock(d.Last)+", "+widget.Age(s.Since(d.Last))+" ago")
	return append(lines, f.Lines...)
}

// Hints offer the key also in the list, where adding its user begins.
func (m *Model) Hints(s page.Scene) []page.Hint {
	switch hints := m.List.Hints(s); {
	case m.OpenID != "":
		return hints
	case m.Table.Len() == 0:
		return nil
	default:
		return append(hints, page.Hint{Key: "y", Does: m.CopyHint})
	}
}

// Want is the rollout.
func (m *Model) Want() feed.Want { return feed.Want{Rollout: true} }

// Copy is the key of the open or selected entry, for adding them; the address where
// no key was shown, and nothing where the open entry has gone.
func (m *Model) Copy(s page.Scene) (what, text string) {
	m.Load(s)
	switch _, d, found := find(s, m.Current()); {
	case !found:
		return "", ""
	case d.Key == "":
		return "the address", widget.Clean(d.Addr)
	default:
		return "the key", widget.Clean(d.Key)
	}
}
