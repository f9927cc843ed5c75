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
	return &Model{table: widget.NewTable("", // see nobody
		widget.Column{Title: "NODE"}, widget.Column{Title: "KEY"}, widget.Column{Title: "ADDRESS", Max: 39}, widget.Column{Title: "COUNT", Right: true},
		widget.Column{Title: "FIRST", Right: true}, widget.Column{Title: "LAST", Right: true}, widget.Column{Title: "REASON", Min: 10})}
}

// Name is rollout.
func (m *Model) Name() string { return "rollout" }

func names(r admin.Rollout) []string { return slices.Sorted(maps.Keys(r.Nodes)) }

func key(node string, d admin.Denied) string {
	return strings.Join([]string{node, d.Key, d.Addr, d.Reason}, " ")
}

func (m *Model) load(s page.Scene) {
	if m.memo.Fresh(s, 5*time.Second, "", s.Snap.Rollout.N) {
		return
	}
	r := s.Snap.Rollout.Value
	var rows []widget.Row
	for _, n := range names(r) {
		for _, d := range r.Nodes[n].WouldDeny {
			rows = append(rows, row(s, n, d))
		}
	}
	m.table.Load(rows, s.Filter)
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

// View draws the verdict, the nodes and the table, or the open entry.
func (m *Model) View(s page.Scene) string {
	if wait := page.Await(s, "every node's account of whom it would deny", s.Snap.Rollout); wait != nil {
		return s.Keep(wait)
	}
	m.load(s)
	lines := page.Stale(s, s.Snap.Rollout, page.FreshList)
	if m.open != "" {
		return s.Keep(append(lines, m.detail(s)...))
	}
	r := s.Snap.Rollout.Value
	lines = append(lines, verdict(s, r)...)
	lines = append(lines, "")
	lines = append(lines, active(s, r)...)
	lines = append(lines, "", " "+s.P(theme.Dim, "WOULD BE DENIED"+m.matching(s)))
	m.table.Empty = nobody(r)
	return s.Keep(append(lines, m.table.View(s.Theme, s.W, s.H-len(lines))))
}

func (m *Model) matching(s page.Scene) string {
	if s.Filter == "" {
		return ""
	}
	return fmt.Sprintf("   %s match /%s", widget.Count(m.table.Len()), widget.Clean(s.Filter))
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

func (m *Model) detail(s page.Scene) []string {
	r := s.Snap.Rollout.Value
	for _, n := range names(r) {
		for _, d := range r.Nodes[n].WouldDeny {
			if key(n, d) == m.open {
				return detail(s, n, d)
			}
		}
	}
	return s.Prose(theme.Plain, "This is not listed any more: they were admitted since, or have not come back for a day. Esc goes back.")
}

func detail(s page.Scene, node string, d admin.Denied) []string {
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

// Key moves and opens.
func (m *Model) Key(s page.Scene, k string) page.Effect {
	m.load(s)
	if m.open != "" {
		return page.Effect{}
	}
	if k == "enter" {
		m.open = m.table.Selected()
		return page.Effect{Handled: true}
	}
	return page.Effect{Handled: m.table.Key(k, s.H/2, false)}
}

// Open does nothing: the entries have no names.
func (m *Model) Open(page.Scene, string) {}

// Back closes the open entry.
func (m *Model) Back() bool {
	was := m.open != ""
	m.open = ""
	return was
}

// Hints are the page's own keys.
func (m *Model) Hints(page.Scene) []page.Hint {
	switch {
	case m.open != "":
		return []page.Hint{{Key: "esc", Does: "back"}, {Key: "y", Does: "copy key"}}
	case m.table.Len() == 0:
		return nil
	}
	return []page.Hint{{Key: "enter", Does: "open"}, {Key: "s S", Does: "sort"}, {Key: "y", Does: "copy key"}}
}

// Selection is nothing: no action of the table is done to somebody who is no user yet.
func (m *Model) Selection(page.Scene) action.Selection { return action.Selection{} }

// Want is the rollout.
func (m *Model) Want() feed.Want { return feed.Want{Rollout: true} }

// Done has no marks to take away.
func (m *Model) Done(action.Selection) {}

// Copy is the key of the open or selected entry, for adding them; the address where
// no key was shown, and nothing where the open entry has gone.
func (m *Model) Copy(s page.Scene) (string, string) {
	m.load(s)
	r := s.Snap.Rollout.Value
	for _, n := range names(r) {
		for _, d := range r.Nodes[n].WouldDeny {
			if key(n, d) != page.Chosen(m.open, m.table) {
				continue
			}
			if d.Key == "" {
				return "the address", widget.Clean(d.Addr)
			}
			return "the key", widget.Clean(d.Key)
		}
	}
	return "", ""
}
