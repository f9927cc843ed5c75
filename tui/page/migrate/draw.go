package migrate

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// facts are the files of the move, who asked for it and how.
func facts(s page.Scene, st migrate.Status) []string {
	f := page.Facts{Scene: s, Label: 8}
	if st.Source.Path != "" {
		where := strings.TrimSpace(st.Node + " " + filepath.Base(st.Source.Path)) // a dry run is no node's
		f.Add("source", fmt.Sprintf("%s, %s, schema %d", where, widget.Size(st.Source.Bytes), st.Source.Schema))
	}
	f.Add("backup", file(s, st.Backup))
	f.Add("export", file(s, st.Export))
	if st.State == migrate.StateSoak || st.State == migrate.StateDone { // the one above is of before the cutover
		f.Add("now", keep)
	}
	by := "by " + st.By
	if st.Started != 0 {
		by = s.Clock(st.Started) + " " + by
	}
	if st.By == "" {
		by = ""
	}
	f.Add("begun", by)
	f.Add("options", asked(st))
	f.Add("estimate", estimate(st))
	if f.Lines == nil {
		return nil
	}
	return append([]string{""}, f.Lines...)
}

func file(s page.Scene, b migrate.Backup) string {
	if b.Path == "" {
		return ""
	}
	return fmt.Sprintf("%s, %s, sha256 %s", filepath.Base(b.Path), widget.Size(b.Bytes), widget.Middle(s.Theme, b.SHA256, 7))
}

// asked are the options in words.
func asked(st migrate.Status) string {
	var out []string
	o := st.Options
	add := func(when bool, text string) {
		if when {
			out = append(out, text)
		}
	}
	add(o.Replicas > 0, widget.Plural(o.Replicas, "replica", "replicas"))
	add(o.NoBackup, "a temporary copy in place of a backup")
	add(o.Rate > 0, "at most "+widget.Count(o.Rate)+" rows/s")
	add(st.WillCutOver(), "cutover without waiting")
	add(o.DryRun, "dry run")
	add(len(o.IgnoredNodes) > 0, "leaves behind the files of "+strings.Join(o.IgnoredNodes, ", "))
	return strings.Join(out, ", ")
}

func estimate(st migrate.Status) string {
	if st.EstimateMS == 0 {
		return ""
	}
	text := "about " + widget.Age(time.Duration(st.EstimateMS)*time.Millisecond) + " for backup, copy and verify"
	if t := st.WorkDuration(); t > 0 {
		text += "; they took " + widget.Age(t)
	}
	return text
}

func problems(s page.Scene, st migrate.Status) []string {
	if len(st.Problems) == 0 {
		return nil
	}
	lines := []string{"", " " + s.P(theme.Warn, widget.Plural(len(st.Problems), "thing has", "things have")+" to be mended before it can go on:")}
	for _, p := range st.Problems {
		text := p.Text
		if where := strings.TrimSpace(string(p.Table) + " " + p.Key); where != "" {
			text = where + ": " + text
		}
		lines = append(lines, indented(s, theme.Plain, s.Theme.Glyphs.Degraded, text)...)
		if p.Next != "" {
			lines = append(lines, indented(s, theme.Accent, " ", p.Next)...)
		}
	}
	return lines
}

// indented is a wrapped text behind a sign.
func indented(s page.Scene, t theme.Tone, sign, text string) []string {
	var out []string
	for _, l := range widget.Wrap(widget.Grouped(widget.Clean(text)), s.W-4) {
		out = append(out, " "+s.P(t, sign+" "+l))
		sign = " "
	}
	return out
}

// driftListed is how many keys of a file the page names; the report has more.
const driftListed = 3

// drift is what other nodes' own files hold otherwise, and what can be chosen.
func drift(s page.Scene, st migrate.Status) []string {
	var lines []string
	for _, d := range st.DivergentFiles() {
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

func driftTable(s page.Scene, here string, d migrate.Divergence) []string {
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
func choice(s page.Scene, st migrate.Status, d migrate.Divergence) []string {
	switch {
	case d.Ignored:
		return s.Prose(theme.Plain, fmt.Sprintf("It is left behind, as %s chose. Nothing of it was moved, and it was not touched.", st.By))
	case !st.HasEnded() && st.State != migrate.StatePreflight:
		return s.Prose(theme.Plain, "Nothing of it is moved, and it is not touched.")
	}
	instead := "move"
	if st.Active() && !st.Options.DryRun {
		instead = "abort (A) and move"
	}
	return s.Prose(theme.Accent, fmt.Sprintf("Choose: move %s and leave %s's file behind (b, and type %s); or %s %s's file instead; or bring the two together first.", st.Node, d.Node, d.Node, instead, d.Node))
}

// progress is shown while rows are copied or exported; afterwards the parity says more.
func progress(s page.Scene, st migrate.Status) []string {
	exporting := st.State == migrate.StateRollback
	if len(st.Progress) == 0 || compared(st) && !exporting || st.HasEnded() {
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
