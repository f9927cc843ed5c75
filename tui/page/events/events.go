// Package events is the page of the cluster's events, newest first: leader changes,
// nodes that start or stop, operators' actions.
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

// Page keeps the table of events.
type Page struct{ page.List }

// New creates the page.
func New() *Page {
	m := &Page{}
	m.List = page.List{
		Subject: "the events", MaxAge: page.StatusMaxAge, RowsMaxAge: time.Minute,
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.Events.Freshness },
		Rows:      rows, Summary: m.summary, Detail: detail, Gone: "This event is no longer kept.",
		Table: widget.NewTable("No events since the nodes started. Leader changes, nodes that start or stop, and operators' actions appear here.",
			widget.Column{Title: "TIME"}, widget.Column{Title: "LEVEL"}, widget.Column{Title: "ABOUT", Max: 24}, widget.Column{Title: "WHAT", Min: 10}),
	}
	m.Table.FollowsTop = true
	return m
}

// Name returns "events".
func (m *Page) Name() action.PageName { return action.PageEvents }

func eventKey(e cluster.Event) string { return fmt.Sprintf("%d %s %s", e.At, e.About, e.Text) }

func rows(rc page.RenderContext) []widget.Row {
	es := rc.Snapshot.Events.Value
	out := make([]widget.Row, 0, len(es))
	for i := len(es) - 1; i >= 0; i-- {
		out = append(out, row(rc, es[i]))
	}
	return out
}

func row(rc page.RenderContext, e cluster.Event) widget.Row {
	g, tone := rc.Theme.Level(e.Level)
	at := widget.Number(float64(e.At), rc.FormatMillis(e.At), "").WithTone(theme.Dim)
	return widget.Row{Key: eventKey(e), Cells: []widget.Cell{
		at, {Text: g + " " + string(e.Level), Tone: tone}, {Text: e.About}, {Text: widget.GroupCounts(e.Text)},
	}}
}

func (m *Page) summary(rc page.RenderContext) []string {
	text := widget.Plural(len(rc.Snapshot.Events.Value), "event", "events") + ", the newest first."
	return append(rc.Paragraph(theme.Plain, text+m.FilterText(rc)), "")
}

func detail(rc page.RenderContext, id string) []string {
	for _, e := range rc.Snapshot.Events.Value {
		if eventKey(e) != id {
			continue
		}
		g, tone := rc.Theme.Level(e.Level)
		lines := []string{" " + rc.Paint(tone, g+" "+string(e.Level)) + "  " + rc.Paint(theme.Strong, widget.Sanitize(e.About)), ""}
		f := page.LabeledLines{Context: rc, LabelWidth: 6}
		f.Add("when", fmt.Sprintf("%s, %s ago", e.At.Time().In(rc.Now.Location()).Format("2 Jan 2006 15:04:05.000"), widget.FormatDuration(rc.AgeOf(e.At))))
		f.Add("what", widget.GroupCounts(widget.Sanitize(e.Text)))
		return append(lines, f.Lines...)
	}
	return nil
}

// ClipboardText is the text of the event.
func (m *Page) ClipboardText(rc page.RenderContext) (what, text string) {
	m.RefreshRows(rc)
	_, text, _ = strings.Cut(m.Current(), " ")
	return "the event", text
}
