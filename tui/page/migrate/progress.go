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

// progressLines are shown while rows are copied or exported. Afterward the
// comparison says more.
func progressLines(rc page.RenderContext, st migrate.Status) []string {
	exporting := st.State == migrate.StateRollback
	if len(st.Progress) == 0 || comparisonKnown(st) && !exporting || st.HasEnded() {
		return nil
	}
	lines := []string{""}
	for _, p := range st.Progress {
		lines = append(lines, progressLine(rc, p))
	}
	return append(lines, rateLine(rc, st, exporting)...)
}

func progressLine(rc page.RenderContext, p migrate.Progress) string {
	if p.Table == core.TableRoomsByMember && p.Total == 0 {
		return " " + rc.Paint(theme.Dim, fmt.Sprintf("%-16s derived from members", p.Table))
	}
	tail := ""
	if p.Total > 0 && p.Done >= p.Total {
		tail = "done"
	}
	bar := max(10, min(40, rc.Width-52))
	figures := widget.PadLeft(widget.FormatCount(p.Done), 9) + rc.Paint(theme.Dim, " of ") + widget.PadRight(widget.FormatCount(p.Total), 9)
	return strings.TrimRight(fmt.Sprintf(" %s%s  %s  %s", rc.Paint(theme.Plain, fmt.Sprintf("%-16s", p.Table)), figures,
		widget.ProgressBar(rc.Theme, p.Done, p.Total, bar), rc.Paint(theme.Dim, tail)), " ")
}

// rateLine is the line below the tables: total rate, time left, limit and
// checkpoint.
func rateLine(rc page.RenderContext, st migrate.Status, exporting bool) []string {
	var parts []string
	add := func(label, value string) { parts = append(parts, rc.Paint(theme.Dim, label)+"  "+value) }
	if st.Rate > 0 && !action.MigrationNodeDown(rc.Snapshot) {
		add("rate", widget.FormatCount(int(st.Rate))+" /s")
	}
	if exporting && parts == nil {
		return nil
	}
	if st.LeftMS > 0 && !action.MigrationNodeDown(rc.Snapshot) {
		add("left", "about "+widget.FormatDuration(time.Duration(st.LeftMS)*time.Millisecond))
	}
	if exporting {
		return []string{" " + strings.Join(parts, "   ")}
	}
	limit := "none"
	if st.Options.Rate > 0 {
		limit = widget.FormatCount(st.Options.Rate) + " /s"
	}
	add("limit", limit)
	for _, p := range st.Progress {
		if p.Done > 0 && p.Done < p.Total {
			add("checkpoint", fmt.Sprintf("%s, row %s", p.Table, widget.FormatCount(p.Done)))
			break
		}
	}
	return []string{" " + strings.Join(parts, "   ")}
}
