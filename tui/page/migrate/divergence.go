package migrate

import (
	"fmt"
	"strings"

	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// maxDivergedKeys bounds the keys that the page names per file; the report has
// more.
const maxDivergedKeys = 3

// divergence shows the SQLite files of other nodes that differ from the source, and the
// operator's choices.
func divergence(rc page.RenderContext, st migrate.Status) []string {
	var lines []string
	for _, d := range st.DivergentFiles() {
		lines = append(lines, "")
		lines = append(lines, rc.Paragraph(theme.Warn, fmt.Sprintf("%s has its own SQLite file, %s, with other rows:", d.Node, d.File))...)
		if d.Error != "" {
			lines = append(lines, rc.Paragraph(theme.Plain, "The comparison did not finish: "+d.Error)...)
		}
		lines = append(lines, divergenceTable(rc, st.Node, d)...)
		lines = append(lines, divergenceChoice(rc, st, d)...)
	}
	return lines
}

func divergenceTable(rc page.RenderContext, sourceNode string, d migrate.Divergence) []string {
	const cell = 14
	header := fmt.Sprintf("%-16s", "TABLE")
	for _, h := range []string{"ONLY " + sourceNode, "ONLY " + d.Node, "DIFFERENT"} {
		header += widget.PadLeft(widget.Truncate(rc.Theme, h, cell-1), cell)
	}
	lines := []string{" " + rc.Paint(theme.Dim, header)}
	var keys []string
	for _, t := range d.Tables {
		if t.Equal() {
			continue
		}
		line := fmt.Sprintf(" %-16s", t.Table)
		for _, n := range []int{t.OnlyHere, t.OnlyThere, t.Different} {
			line += widget.PadLeft(widget.FormatCount(n), cell)
		}
		lines = append(lines, line)
		for _, k := range t.Keys {
			side, key, _ := strings.Cut(k, "/")
			keys = append(keys, fmt.Sprintf("%s %s, %s", t.Table, key, map[string]string{"here": "only on " + sourceNode, "there": "only on " + d.Node, "different": "different"}[side]))
		}
	}
	if len(lines) == 1 {
		return nil
	}
	for i, k := range keys {
		if i == maxDivergedKeys {
			lines = append(lines, " "+rc.Paint(theme.Dim, fmt.Sprintf("and %s more: the report (W) lists them", widget.FormatCount(len(keys)-i))))
			break
		}
		lines = append(lines, " "+rc.Paint(theme.Dim, widget.Sanitize(k)))
	}
	return lines
}

// divergenceChoice says what happens to a file that differs.
func divergenceChoice(rc page.RenderContext, st migrate.Status, d migrate.Divergence) []string {
	switch {
	case d.Ignored:
		return rc.Paragraph(theme.Plain, fmt.Sprintf("It is ignored, as %s chose. Its rows were not migrated, and the file is unchanged.", st.By))
	case !st.HasEnded() && st.State != migrate.StatePreflight:
		return rc.Paragraph(theme.Plain, "Its rows are not migrated, and the file is unchanged.")
	case len(st.Problems) > 0: // the file is one of them, with what to do
		return nil
	}
	instead := "migrate"
	if st.Active() && !st.Options.DryRun {
		instead = "abort (A) and migrate"
	}
	return rc.Paragraph(theme.Accent, fmt.Sprintf("Choose: migrate %s and ignore %s's file (b, and enter %s); or %s %s's file instead; or merge the two first.", st.Node, d.Node, d.Node, instead, d.Node))
}
