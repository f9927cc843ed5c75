// Package events is the page of what happened in the cluster, newest first: incidents, each
// with its beginning, its end and what it cost, and what belongs to none of them: leaders,
// nodes that start, operators' actions.
package events

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Page keeps the table of what happened.
type Page struct{ page.List }

// New creates the page.
func New() *Page {
	m := &Page{}
	m.List = page.List{
		Subject: "the events", MaxAge: page.StatusMaxAge, RowsMaxAge: time.Minute,
		Freshness: func(s *feed.Snapshot) feed.Freshness { return s.History.Freshness },
		Rows:      rows, Summary: m.summary, Detail: detail, Gone: "This event is no longer kept.",
		Table: widget.NewTable("Nothing happened since the nodes started. Incidents, leader changes, nodes that start or stop, and operators' actions appear here.",
			widget.Column{Title: "TIME"}, widget.Column{Title: "UNTIL", Extra: true, IfFilled: true}, widget.Column{Title: "LEVEL"}, widget.Column{Title: "ABOUT", Max: 16}, widget.Column{Title: "WHAT", Min: 10}),
		ExportFields: []string{"time", "until", "level", "about", "what"}, ExportRow: exportRow,
		ExportNote: func(rc page.RenderContext) string {
			return strings.TrimSpace(rc.Snapshot.History.Value.Note + " The list has what the node keeps at hand; `unibusd events` shows all.")
		},
	}
	m.Table.FollowsTop = true
	return m
}

// Name returns "events".
func (m *Page) Name() action.PageName { return action.PageEvents }

func rows(rc page.RenderContext) []widget.Row {
	entries := rc.Snapshot.History.Value.Entries
	out := make([]widget.Row, 0, len(entries))
	for _, e := range entries {
		out = append(out, row(rc, e))
	}
	return out
}

func exportRow(rc page.RenderContext, key string) []any {
	for _, e := range rc.Snapshot.History.Value.Entries {
		if feed.HistoryKey(e) == key {
			t, until := rc.HistoryText(e), any(nil)
			switch {
			case e.Incident != nil:
				until = e.Incident.End
			case e.Dropped != nil:
				until = e.Dropped.To
			}
			return []any{e.At, until, t.Word, page.Subject(t.About), t.What}
		}
	}
	return nil
}

func row(rc page.RenderContext, e admin.HistoryEntry) widget.Row {
	t := rc.HistoryText(e)
	return widget.Row{Key: feed.HistoryKey(e), Cells: []widget.Cell{
		widget.Number(float64(e.At), t.Time, "").WithTone(theme.Dim),
		{Text: t.Until, Tone: theme.Dim},
		{Text: t.Glyph + " " + t.Word, Tone: t.Tone},
		{Text: page.Subject(t.About)},
		{Text: widget.GroupCounts(t.What)},
	}}
}

func (m *Page) summary(rc page.RenderContext) []string {
	h := rc.Snapshot.History.Value
	open, ending, incidents := 0, 0, 0
	for _, e := range h.Entries {
		if e.Incident != nil {
			incidents++
			switch {
			case rc.IsEnding(*e.Incident):
				ending++
			case e.Incident.IsOpen():
				open++
			}
		}
	}
	text := widget.Plural(incidents, "incident", "incidents") + " and " + widget.Plural(len(h.Entries)-incidents, "other event", "other events") + ", the newest first."
	switch {
	case len(h.Entries) == 0:
		text = "No event is known."
	case incidents == 0:
		text = widget.Plural(len(h.Entries), "event", "events") + ", the newest first. None of them is an incident."
	}
	if open > 0 {
		text += " " + widget.FormatCount(open) + " not over yet."
	}
	if ending > 0 {
		text += " " + widget.FormatCount(ending) + " over once the cluster has stayed healthy for some seconds."
	}
	lines := rc.Paragraph(theme.Plain, text+m.FilterText(rc))
	if h.Note != "" {
		lines = append(lines, rc.Paragraph(theme.Warn, h.Note)...)
	}
	return append(lines, "")
}

func detail(rc page.RenderContext, id string) []string {
	for _, e := range rc.Snapshot.History.Value.Entries {
		if feed.HistoryKey(e) == id {
			return entryDetail(rc, e)
		}
	}
	return nil
}

func entryDetail(rc page.RenderContext, e admin.HistoryEntry) []string {
	t := rc.HistoryText(e)
	lines := []string{" " + rc.Paint(t.Tone, t.Glyph+" "+t.Word) + "  " + rc.Paint(theme.Strong, widget.Sanitize(page.Subject(t.About))), ""}
	f := page.LabeledLines{Context: rc, LabelWidth: 6}
	if e.Incident == nil {
		f.Add("when", moment(rc, e.At)+", "+widget.FormatDuration(rc.AgeOf(e.At))+" ago")
		f.Add("what", widget.GroupCounts(widget.Sanitize(t.What)))
		return append(lines, f.Lines...)
	}
	i := *e.Incident
	f.Add("began", moment(rc, i.Begin)+", "+widget.FormatDuration(rc.AgeOf(i.Begin))+" ago")
	switch {
	case rc.IsEnding(i):
		f.Add("ended", "the cluster is healthy again; it is over once that has held for some seconds")
	case i.IsOpen():
		f.Add("ended", "not yet")
	default:
		f.Add("ended", moment(rc, i.End)+", after "+lasted(i.Lasted(i.End)))
	}
	f.Add("cause", widget.GroupCounts(widget.Sanitize(i.Cause)))
	f.Add("what", widget.GroupCounts(widget.Sanitize(t.What)))
	return append(append(lines, f.Lines...), incidentLines(rc, i)...)
}

// incidentLines are the lines that an incident is made of, oldest first.
func incidentLines(rc page.RenderContext, i cluster.Incident) []string {
	if len(i.Lines) == 0 {
		return nil
	}
	out, width := []string{"", " " + rc.Paint(theme.Dim, "IT IS MADE OF")}, 0
	for _, l := range i.Lines {
		width = max(width, min(20, widget.Width(page.Subject(widget.Sanitize(l.About)))))
	}
	for n, l := range i.Lines {
		if i.LeftOut > 0 && n == len(i.Lines)/2 {
			out = append(out, " "+rc.Paint(theme.Dim, fmt.Sprintf("%s %s left out", rc.Theme.Glyphs.Ellipsis, widget.Plural(i.LeftOut, "line is", "lines are"))))
		}
		t := rc.HistoryText(admin.HistoryEntry{At: l.At, Event: &l})
		t.About = page.Subject(t.About)
		out = append(out, rc.HistoryLine(t, width)...)
	}
	return out
}

func moment(rc page.RenderContext, at core.Millis) string {
	return at.Time().In(rc.Now.Location()).Format("2 Jan 2006 15:04:05.000")
}

// ClipboardText is the event as one line.
func (m *Page) ClipboardText(rc page.RenderContext) (what, text string) {
	m.RefreshRows(rc)
	for _, e := range rc.Snapshot.History.Value.Entries {
		if feed.HistoryKey(e) == m.Current() {
			t := rc.HistoryText(e)
			return "the event", strings.Join([]string{e.At.Time().UTC().Format(time.RFC3339), t.About, t.What}, " ")
		}
	}
	return "the event", ""
}

// lasted is the length of an incident; the nodes' clocks do not say what is below a second.
func lasted(d time.Duration) string {
	if d < time.Second {
		return "less than 1 s"
	}
	return widget.FormatDuration(d)
}
