// Package events is the page of what happened: leaders, nodes, operators, the
// newest first.
package events

import (
	"fmt"
	"strings"
	"time"

	"unibus/core/cluster"
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
	return &Model{table: widget.NewTable("Nothing has happened since the nodes' recorders began. Leader changes, nodes that come and go, and what operators do appear here.",
		widget.Column{Title: "TIME"}, widget.Column{Title: "LEVEL"}, widget.Column{Title: "ABOUT", Max: 24}, widget.Column{Title: "WHAT", Min: 10})}
}

// Name is events.
func (m *Model) Name() string { return "events" }

func key(e cluster.Event) string { return fmt.Sprintf("%d %s %s", e.At, e.About, e.Text) }

func (m *Model) load(s page.Scene) {
	if m.memo.Fresh(s, time.Minute, "", s.Snap.Events.N) {
		return
	}
	es := s.Snap.Events.Value
	rows := make([]widget.Row, 0, len(es))
	for i := len(es) - 1; i >= 0; i-- {
		rows = append(rows, row(s, es[i]))
	}
	m.table.Load(rows, s.Filter)
}

func row(s page.Scene, e cluster.Event) widget.Row {
	g, tone := s.Theme.Level(e.Level)
	at := widget.Num(float64(e.At), s.Clock(e.At), "").In(theme.Dim)
	return widget.Row{Key: key(e), Cells: []widget.Cell{
		at, {Text: g + " " + string(e.Level), Tone: tone}, {Text: e.About}, {Text: widget.Grouped(e.Text)},
	}}
}

// View draws the table, or the open event.
func (m *Model) View(s page.Scene) string {
	if wait := page.Await(s, "the events", s.Snap.Events); wait != nil {
		return s.Keep(wait)
	}
	m.load(s)
	lines := page.Stale(s, s.Snap.Events, page.Fresh)
	if m.open != "" {
		return s.Keep(append(lines, m.detail(s)...))
	}
	text := widget.Plural(len(s.Snap.Events.Value), "event", "events") + ", the newest first."
	if s.Filter != "" {
		text += fmt.Sprintf(" %s match /%s.", widget.Count(m.table.Len()), s.Filter)
	}
	lines = append(lines, s.Prose(theme.Plain, text)...)
	lines = append(lines, "")
	return s.Keep(append(lines, m.table.View(s.Theme, s.W, s.H-len(lines))))
}

func (m *Model) detail(s page.Scene) []string {
	for _, e := range s.Snap.Events.Value {
		if key(e) != m.open {
			continue
		}
		g, tone := s.Theme.Level(e.Level)
		lines := []string{" " + s.P(tone, g+" "+string(e.Level)) + "  " + s.P(theme.Strong, widget.Clean(e.About)), ""}
		f := page.Facts{Scene: s, Label: 6}
		f.Add("when", fmt.Sprintf("%s, %s ago", e.At.Time().In(s.Now.Location()).Format("2 Jan 2006 15:04:05.000"), widget.Span(s.Since(e.At))))
		f.Add("what", widget.Grouped(widget.Clean(e.Text)))
		return append(lines, f.Lines...)
	}
	return s.Prose(theme.Plain, "This event is not kept any more. Esc goes back.")
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
	return page.Effect{Handled: m.table.Key(k, s.H-3, false)}
}

// Open does nothing: events have no names.
func (m *Model) Open(page.Scene, string) {}

// Back closes the open event.
func (m *Model) Back() bool {
	was := m.open != ""
	m.open = ""
	return was
}

// Hints are the page's own keys.
func (m *Model) Hints(page.Scene) []page.Hint {
	if m.open != "" {
		return []page.Hint{{Key: "esc", Does: "back"}}
	}
	return []page.Hint{{Key: "enter", Does: "open"}, {Key: "s S", Does: "sort"}}
}

// Selection is nothing: no action is done to an event.
func (m *Model) Selection(page.Scene) action.Selection { return action.Selection{} }

// Want is nothing beyond what is always asked for.
func (m *Model) Want() feed.Want { return feed.Want{} }

// Done has no marks to take away.
func (m *Model) Done(action.Selection) {}

// Copy is the text of the event.
func (m *Model) Copy(s page.Scene) (string, string) {
	m.load(s)
	_, text, _ := strings.Cut(page.Chosen(m.open, m.table), " ")
	return "the event", text
}
