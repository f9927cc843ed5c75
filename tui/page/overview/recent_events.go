package overview

import (
	"slices"

	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// recentEvents are incidents that are not over, then the newest entries of the history, as
// many as fit into h lines.
func recentEvents(rc page.RenderContext, h int) []string {
	entries := rc.Snapshot.History.Value.Entries
	if h < 3 || len(entries) == 0 {
		return nil
	}
	out := []string{"", " " + rc.Paint(theme.Dim, "RECENT")}
	width := 0
	shown := openFirst(entries, h-2)
	for _, e := range shown {
		width = max(width, min(20, widget.Width(about(rc, e))))
	}
	for _, e := range shown {
		t := rc.HistoryText(e)
		t.About = about(rc, e)
		lines := rc.HistoryLine(t, width)
		if len(lines) > h-len(out) {
			lines = lines[:h-len(out)]
		}
		out = append(out, lines...)
	}
	return out
}

// openFirst are at most n entries: a fault of yesterday that goes on is not scrolled away,
// and the verdict is above already.
func openFirst(entries []admin.HistoryEntry, n int) []admin.HistoryEntry {
	isOpen := func(e admin.HistoryEntry) bool { return e.Incident != nil && e.Incident.IsOpen() }
	var open, rest []admin.HistoryEntry
	for _, e := range entries {
		switch {
		case isOpen(e):
			open = append(open, e)
		case e.Event != nil && e.Event.About == cluster.AboutVerdict:
		case len(rest) < n:
			rest = append(rest, e)
		}
	}
	all := slices.Concat(open, rest)
	return all[:min(n, len(all))]
}

func about(rc page.RenderContext, e admin.HistoryEntry) string {
	return page.Subject(widget.Sanitize(rc.HistoryText(e).About))
}
