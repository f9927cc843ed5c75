package migrate

import (
	"fmt"
	"strings"

	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// driftListed is how many keys of a file the page names; the report has more.
const driftListed = 3

// drift is what other nodes' own files hold otherwise, and what can be chosen.
func drift(s page.Scene, st migrate.Status) []string {
	var lines []string
	for _, d := range st.Drifted() {
		lines = append(lines, "")
		lines = append(lines, s.Prose(theme.Warn, fmt.Sprintf("%s has a SQLite file of its own, %s, which is not the same:", d.Node, d.File))...)
		if d.Error != "" {
			lines = append(lines, s.Prose(theme.Plain, "It could not be compared to its end: "+d.Error)...)
		}
		lines = append(lines, driftTable(s, st.Node, d)...)
		lines = append(lines, choice(s, st, d)...)
	}
	return lines
}

func driftTable(s page.Scene, here string, d migrate.Drift) []string {
	const cell = 14
	head := fmt.Sprintf("%-16s", "TABLE")
	for _, h := range []string{"ONLY " + here, "ONLY " + d.Node, "DIFFERENT"} {
		head += widget.Pad(widget.Cut(s.Theme, h, cell-1), cell, true)
	}
	lines := []string{" " + s.P(theme.Dim, head)}
	var keys []string
	for _, t := range d.Tables {
		if t.Equal() {
			continue
		}
		line := fmt.Sprintf(" %-16s", t.Table)
		for _, n := range []int{t.OnlyHere, t.OnlyThere, t.Different} {
			line += widget.Pad(widget.Count(n), cell, true)
		}
		lines = append(lines, line)
		for _, k := range t.Keys {
			where, key, _ := strings.Cut(k, "/")
			keys = append(keys, fmt.Sprintf("%s %s, %s", t.Table, key, map[string]string{"here": "only on " + here, "there": "only on " + d.Node, "different": "different"}[where]))
		}
	}
	if len(lines) == 1 {
		return nil
	}
	for i, k := range keys {
		if i == driftListed {
			lines = append(lines, " "+s.P(theme.Dim, fmt.Sprintf("and %s more: the report (W) lists them", widget.Count(len(keys)-i))))
			break
		}
		lines = append(lines, " "+s.P(theme.Dim, widget.Clean(k)))
	}
	return lines
}

// choice says what becomes of a file that has drifted.
func choice(s page.Scene, st migrate.Status, d migrate.Drift) []string {
	switch {
	case d.Discarded:
		return s.Prose(theme.Plain, fmt.Sprintf("It is left behind, as %s chose. Nothing of it was moved, and it was not touched.", st.By))
	case !st.Over() && st.State != migrate.StatePreflight:
		return s.Prose(theme.Plain, "Nothing of it is moved, and it is not touched.")
	}
	instead := "move"
	if st.Active() && !st.Options.DryRun {
		instead = "abort (A) and move"
	}
	return s.Prose(theme.Accent, fmt.Sprintf("Choose: move %s and leave %s's file behind (b, and type %s); or %s %s's file instead; or bring the two together first.", st.Node, d.Node, d.Node, instead, d.Node))
}
