package page

import (
	"fmt"
	"strings"

	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// HistoryText is an entry of the history in columns.
type HistoryText struct {
	Time, Until string // Until is "" of what has no length
	Glyph, Word string // of the level; over, of an incident that is
	Tone        theme.Tone
	About, What string
}

// HistoryText puts an entry of the history into columns.
func (rc RenderContext) HistoryText(e admin.HistoryEntry) HistoryText {
	t := HistoryText{Time: rc.FormatMillis(e.At)}
	switch {
	case e.Incident != nil:
		return rc.incidentText(t, *e.Incident)
	case e.Event != nil:
		g, tone := rc.Theme.Level(e.Event.Level)
		t.Glyph, t.Word, t.Tone, t.About, t.What = g, string(e.Event.Level), tone, e.Event.About, e.Event.Text
	case e.Dropped != nil:
		g, tone := rc.Theme.Level(cluster.Note)
		t.Glyph, t.Word, t.Tone, t.About, t.Until = g, string(cluster.Note), tone, e.Node, rc.FormatMillis(e.Dropped.To)
		t.What = fmt.Sprintf("%s and %s could not be recorded, and are lost", widget.Plural(e.Dropped.Lines, "line", "lines"), widget.Plural(e.Dropped.Incidents, "incident", "incidents"))
	}
	return t
}

func (rc RenderContext) incidentText(t HistoryText, i cluster.Incident) HistoryText {
	g, tone := rc.Theme.Level(i.Level)
	t.Glyph, t.Word, t.Tone, t.Until, t.What = g, string(i.Level), tone, "goes on", i.Summary()
	switch {
	case rc.IsEnding(i):
		t.Word, t.Tone, t.Until, t.What = "ending", theme.Dim, "ending", i.SummaryWhenHealthy()
	case !i.IsOpen():
		healed, healedTone := rc.Theme.Level(cluster.Healthy)
		t.Glyph, t.Word, t.Tone, t.Until = healed, "over", healedTone, rc.FormatMillis(i.End)
	}
	switch {
	case len(i.Lost) > 0:
		t.About = widget.JoinNames(i.Lost)
	case len(i.Subjects) > 0:
		t.About = Subject(i.Subjects[0])
	}
	return t
}

// IsEnding is true of an incident that is open while the verdict is healthy: it is over once that has held
// for some seconds. Until then the screen must not say that something is wrong.
func (rc RenderContext) IsEnding(i cluster.Incident) bool {
	st := rc.Snapshot.Status
	return i.IsOpen() && st.Known() && !rc.StatusIsStale() && st.Value.Verdict == cluster.Healthy
}

// Subject is the name of what an event or a finding is about: n3, users.
func Subject(about string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(about, "node."), "bucket.")
	return strings.TrimPrefix(name, "UNIBUS_")
}

// HistoryLine is an entry outside of a table, wrapped; its subject has width cells.
// Glyph and color are of what is wrong only.
func (rc RenderContext) HistoryLine(t HistoryText, width int) []string {
	glyph, tone := t.Glyph, t.Tone
	if t.Word == string(cluster.Note) || t.Word == string(cluster.Healthy) {
		glyph, tone = " ", theme.Plain
	}
	about := widget.PadRight(widget.Truncate(rc.Theme, widget.Sanitize(t.About), width), width)
	lead := " " + rc.Paint(tone, glyph) + " " + rc.Paint(theme.Dim, t.Time) + "  " + rc.Paint(tone, about) + "  "
	indent := widget.Width(lead)
	var out []string
	for _, l := range widget.Wrap(widget.GroupCounts(widget.Sanitize(t.What)), max(20, rc.Width-indent)) {
		out, lead = append(out, lead+rc.Paint(theme.Plain, l)), strings.Repeat(" ", indent)
	}
	return out
}
