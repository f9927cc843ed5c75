package overview

import (
	"strings"

	"unibus/core/cluster"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func recentEvents(rc page.RenderContext, h int) []string {
	es := rc.Snapshot.Events.Value
	if h < 3 || len(es) == 0 {
		return nil
	}
	out := []string{"", " " + rc.Paint(theme.Dim, "RECENT")}
	shown := es[max(0, len(es)-h+2):]
	subjectWidth := 0
	for _, e := range shown {
		subjectWidth = max(subjectWidth, min(20, widget.Width(eventSubject(e))))
	}
	for i := len(shown) - 1; i >= 0; i-- {
		e := shown[i]
		_, tone := rc.Theme.Level(e.Level)
		if e.Level == cluster.Note || e.Level == cluster.Healthy {
			tone = theme.Plain
		}
		line := " " + rc.Paint(theme.Dim, rc.FormatMillis(e.At)) + "  " + rc.Paint(tone, widget.PadRight(widget.Truncate(rc.Theme, eventSubject(e), subjectWidth), subjectWidth)) + "  " + rc.Paint(theme.Plain, widget.GroupCounts(widget.Sanitize(e.Text)))
		out = append(out, widget.Truncate(rc.Theme, line, rc.Width))
	}
	return out
}

func eventSubject(e cluster.Event) string {
	name := strings.TrimPrefix(strings.TrimPrefix(e.About, "node."), "bucket.")
	return widget.Sanitize(strings.TrimPrefix(name, "UNIBUS_"))
}
