// Package events is the page of what happened: leaders, nodes, operators, the
// newest first.
package events

import (
	"fmt"
	"strings"
	"time"

	"unibus/core/cluster"
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
		Subject: "the events", MaxAge: page.Fresh, RowsEvery: time.Minute,
		Source: func(s *feed.Snapshot) feed.Freshness { return s.Events.Freshness },
		Rows:   rows, Summary: m.summary, Detail: detail, Gone: "This event is not kept any more.",
		Table: widget.NewTable("Nothing has happened since the nodes' recorders began. Leader changes, nodes that come and go, and what operators do appear here.",
			widget.Column{Title: "TIME"}, widget.Column{Title: "LEVEL"}, widget.Column{Title: "ABOUT", Max: 24}, widget.Column{Title: "WHAT", Min: 10}),
	}
	return m
}

// Name is events.
func (m *Model) Name() string { return "events" }

func key(e cluster.Event) string { return fmt.Sprintf("%d %s %s", e.At, e.About, e.Text) }

func rows(s page.Scene) []widget.Row {
	es := s.Snap.Events.Value
	out := make([]widget.Row, 0, len(es))
	for i := len(es) - 1; i >= 0; i-- {
		out = append(out, row(s, es[i]))
	}
	return out
}

func row(s page.Scene, e cluster.Event) widget.Row {
	g, tone := s.Theme.Level(e.Level)
	at := widget.Num(float64(e.At), s.Clock(e.At), "").In(theme.Dim)
	return widget.Row{Key: key(e), Cells: []widget.Cell{
		at, {Text: g + " " + string(e.Level), Tone: tone}, {Text: e.About}, {Text: widget.Grouped(e.Text)},
	}}
}

func (m *Model) summary(s page.Scene) []string {
	text := widget.Plural(len(s.Snap.Events.Value), "event", "events") + ", the newest first."
	return append(s.Prose(theme.Plain, text+m.FilterText(s)), "")
}

func detail(s page.Scene, id string) []string {
	for _, e := range s.Snap.Events.Value {
		if key(e) != id {
			continue
		}
		g, tone := s.Theme.Level(e.Level)
		lines := []string{" " + s.P(tone, g+" "+string(e.Level)) + "  " + s.P(theme.Strong, widget.Clean(e.About)), ""}
		f := page.Facts{Scene: s, Label: 6}
		f.Add("when", fmt.Sprintf("%s, %s ago", e.At.Time().In(s.Now.Location()).Format("2 Jan 2006 15:04:05.000"), widget.Span(s.Since(e.At))))
		f.Add("what", widget.Grouped(widget.Clean(e.Text)))
		return append(lines, f.Lines...)
	}
	return nil
}

// Copy is the text of the event.
func (m *Model) Copy(s page.Scene) (what, text string) {
	m.Load(s)
	_, text, _ = strings.Cut(m.Current(), " ")
	return "the event", text
}
