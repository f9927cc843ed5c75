package migrate

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// progress is shown while rows are copied or exported; afterwards the parity says more.
func progress(s page.Scene, st migrate.Status) []string {
	exporting := st.State == migrate.StateRollback
	if len(st.Progress) == 0 || compared(st) && !exporting || st.Over() {
		return nil
	}
	lines := []string{""}
	for _, p := range st.Progress {
		lines = append(lines, progressLine(s, p))
	}
	return append(lines, pace(s, st, exporting)...)
}

func progressLine(s page.Scene, p migrate.Progress) string {
	if p.Table == core.TableRoomsByMember && p.Total == 0 {
		return " " + s.P(theme.Dim, fmt.Sprintf("%-16s derived from members", p.Table))
	}
	tail := ""
	if p.Total > 0 && p.Done >= p.Total {
		tail = "done"
	}
	bar := max(10, min(40, s.W-52))
	figures := widget.Pad(widget.Count(p.Done), 9, true) + s.P(theme.Dim, " of ") + widget.Pad(widget.Count(p.Total), 9, false)
	return strings.TrimRight(fmt.Sprintf(" %s%s  %s  %s", s.P(theme.Plain, fmt.Sprintf("%-16s", p.Table)), figures,
		widget.Bar(s.Theme, p.Done, p.Total, bar), s.P(theme.Dim, tail)), " ")
}

// pace is the line under the tables: how fast all of them together go, the time
// left, the limit, and where it would go on. Nothing goes on without its node.
func pace(s page.Scene, st migrate.Status, exporting bool) []string {
	var parts []string
	add := func(label, value string) { parts = append(parts, s.P(theme.Dim, label)+"  "+value) }
	if st.Rate > 0 && !action.Orphaned(s.Snap) {
		add("pace", widget.Count(int(st.Rate))+" /s")
	}
	if exporting && parts == nil {
		return nil
	}
	if st.LeftMS > 0 && !action.Orphaned(s.Snap) {
		add("left", "about "+widget.Span(time.Duration(st.LeftMS)*time.Millisecond))
	}
	if exporting {
		return []string{" " + strings.Join(parts, "   ")}
	}
	limit := "none"
	if st.Options.Rate > 0 {
		limit = widget.Count(st.Options.Rate) + " /s"
	}
	add("limit", limit)
	for _, p := range st.Progress {
		if p.Done > 0 && p.Done < p.Total {
			add("checkpoint", fmt.Sprintf("%s, row %s", p.Table, widget.Count(p.Done)))
			break
		}
	}
	return []string{" " + strings.Join(parts, "   ")}
}
