package overview

import (
	"strings"
	"time"

	"unibus/core"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

const (
	// termStep is the time of one cell: the timeline moves only where a leader has changed.
	termStep  = 10 * time.Second
	termCells = 60
)

// leaderTimeline has a line for each group whose leader has changed in the last ten minutes: the
// leader at each time, and the times without one. With all it has every group.
func leaderTimeline(rc page.RenderContext, all bool) []string {
	groups := rc.Snapshot.Leaders
	width, quiet := 0, 0
	for _, g := range groups {
		width = max(width, widget.Width(groupName(g)))
	}
	if rc.Width < width+termCells+4 {
		return nil
	}
	var out []string
	for _, g := range groups {
		line, changes := termLine(rc, g)
		if changes == 0 && !all {
			quiet++
			continue
		}
		out = append(out, " "+rc.Paint(theme.Dim, widget.PadRight(groupName(g), width))+"  "+line)
	}
	if len(out) == 0 {
		return nil
	}
	if quiet > 0 {
		out = append(out, " "+rc.Paint(theme.Faint, widget.Plural(quiet, "other group", "other groups")+" kept its leader"))
	}
	return append([]string{"", " " + rc.Paint(theme.Dim, "LEADERS, LAST 10 MIN")}, out...)
}

func groupName(g feed.GroupLeaders) string { return widget.Sanitize(page.Subject(g.Group)) }

// termLine draws the terms of a group over the last ten minutes, and counts the changes in them.
func termLine(rc page.RenderContext, g feed.GroupLeaders) (line string, changes int) {
	begin := core.MillisOf(rc.Now.Truncate(termStep).Add(termStep - termCells*termStep))
	for i, t := range g.Terms {
		from, until := cellOf(t.From, begin), termCells
		if i+1 < len(g.Terms) {
			until = cellOf(g.Terms[i+1].From, begin)
		}
		if line == "" && from > 0 { // before the console was started, or the node
			line = strings.Repeat(" ", from)
		}
		if i > 0 && t.From >= begin {
			changes++
		}
		line += drawTerm(rc, t, until-from, i+1 == len(g.Terms))
	}
	return line, changes
}

// cellOf is the cell of a moment, from 0 for what is older to termCells-1.
func cellOf(at, begin core.Millis) int {
	if at < begin {
		return 0
	}
	return min(termCells-1, int(time.Duration(at-begin)*time.Millisecond/termStep))
}

// drawTerm is a term of some cells: the leader's name as far as it fits, then a rule.
func drawTerm(rc page.RenderContext, t feed.Term, cells int, isLast bool) string {
	if cells <= 0 {
		return ""
	}
	name, tone := widget.Sanitize(t.Leader), theme.Dim
	switch {
	case t.Leader == "":
		name, tone = "none", theme.Bad
	case isLast:
		tone = theme.Plain
	}
	if name = widget.Truncate(rc.Theme, name, cells); isLast && cells < widget.Width(t.Leader) {
		name = widget.Truncate(rc.Theme, widget.Sanitize(t.Leader), 12) // nothing follows it
	}
	return rc.Paint(tone, name) + rc.Paint(theme.Faint, strings.Repeat(rc.Theme.Glyphs.Rule, max(0, cells-widget.Width(name))))
}
