package overview

import (
	"strings"

	"unibus/core/cluster"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func recent(s page.Scene, h int) []string {
	es := s.Snap.Events.Value
	if h < 3 || len(es) == 0 {
		return nil
	}
	out := []string{"", " " + s.P(theme.Dim, "RECENT")}
	shown := es[max(0, len(es)-h+2):]
	wide := 0
	for _, e := range shown {
		wide = max(wide, min(20, widget.Width(about(e))))
	}
	for i := len(shown) - 1; i >= 0; i-- {
		e := shown[i]
		_, tone := s.Theme.Level(e.Level)
		if e.Level == cluster.Note || e.Level == cluster.Healthy {
			tone = theme.Plain
		}
		line := " " + s.P(theme.Dim, s.Clock(e.At)) + "  " + s.P(tone, widget.Pad(widget.Cut(s.Theme, about(e), wide), wide, false)) + "  " + s.P(theme.Plain, widget.Grouped(widget.Clean(e.Text)))
		out = append(out, widget.Cut(s.Theme, line, s.W))
	}
	return out
}

func about(e cluster.Event) string {
	name := strings.TrimPrefix(strings.TrimPrefix(e.About, "node."), "bucket.")
	return widget.Clean(strings.TrimPrefix(name, "UNIBUS_"))
}
