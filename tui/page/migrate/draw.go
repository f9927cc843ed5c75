package migrate

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func sources(s page.Scene, st migrate.Status) []string {
	f := page.Facts{Scene: s, Label: 8}
	if st.Source.Path != "" {
		f.Add("source", fmt.Sprintf("%s %s, %s, schema %d", st.Node, filepath.Base(st.Source.Path), widget.Size(st.Source.Bytes), st.Source.Schema))
	}
	if st.Backup.Path != "" {
		f.Add("backup", fmt.Sprintf("%s  sha256 %s", filepath.Base(st.Backup.Path), widget.Middle(s.Theme, st.Backup.SHA256, 7)))
	}
	by := st.By
	if st.Started != 0 {
		by += ", " + s.Clock(st.Started)
	}
	if st.Since != 0 {
		by += fmt.Sprintf("; in %s for %s", st.State, widget.Span(s.Since(st.Since)))
	}
	f.Add("begun by", by)
	return f.Lines
}

func problems(s page.Scene, st migrate.Status) []string {
	if len(st.Problems) == 0 {
		return nil
	}
	lines := []string{"", " " + s.P(theme.Warn, widget.Plural(len(st.Problems), "thing has", "things have")+" to be mended before it can go on:")}
	for _, p := range st.Problems {
		where := strings.TrimSpace(string(p.Table) + " " + p.Key)
		text := p.Text
		if where != "" {
			text = where + ": " + text
		}
		lines = append(lines, s.Prose(theme.Plain, s.Theme.Glyphs.Degraded+" "+text)...)
		if p.Next != "" {
			lines = append(lines, s.Prose(theme.Accent, "  "+p.Next)...)
		}
	}
	return lines
}

// progress is shown while rows are copied; afterwards the parity says more.
func progress(s page.Scene, st migrate.Status) []string {
	if len(st.Progress) == 0 || compared(st) {
		return nil
	}
	bar := max(10, min(40, s.W-52))
	var lines []string
	for _, p := range st.Progress {
		if p.Table == core.TableRoomsByMember && p.Total == 0 {
			lines = append(lines, " "+s.P(theme.Dim, fmt.Sprintf("%-16s derived from members", p.Table)))
			continue
		}
		tail := ""
		if p.Total > 0 && p.Done >= p.Total {
			tail = "done"
		} else if p.Done > 0 && st.Rate > 0 {
			tail = widget.Count(int(st.Rate)) + " /s"
		}
		figures := widget.Pad(widget.Count(p.Done), 9, true) + s.P(theme.Dim, " of ") + widget.Pad(widget.Count(p.Total), 9, false)
		lines = append(lines, fmt.Sprintf(" %s%s  %s  %s", s.P(theme.Plain, fmt.Sprintf("%-16s", p.Table)), figures,
			widget.Bar(s.Theme, p.Done, p.Total, bar), s.P(theme.Dim, tail)))
	}
	if st.LeftMS > 0 {
		lines = append(lines, " "+s.P(theme.Dim, "left  about "+widget.Span(time.Duration(st.LeftMS)*time.Millisecond)))
	}
	return append([]string{""}, lines...)
}

// compared is true once nodes have said what they hold; before that the buckets are there and empty.
func compared(st migrate.Status) bool {
	switch st.State {
	case migrate.StatePreflight, migrate.StateBackup, migrate.StateCopy:
		return false
	}
	return slices.ContainsFunc(st.Buckets, func(p migrate.Parity) bool { return len(p.Nodes) > 0 })
}

// parity is one line a bucket and one column a node.
func parity(s page.Scene, st migrate.Status) []string {
	if !compared(st) {
		return nil
	}
	nodes := map[string]bool{}
	for _, b := range st.Buckets {
		for n := range b.Nodes {
			nodes[n] = true
		}
	}
	names := slices.Sorted(maps.Keys(nodes))
	// The digest gives way first, then the words behind the signs.
	digest, cell := 9, 11
	if 35+digest+cell*len(names) > s.W-1 {
		digest = 0
	}
	if 35+digest+cell*len(names) > s.W-1 {
		cell = 5
	}
	head := widget.Pad("BUCKET", 24, false) + widget.Pad("SOURCE", 9, true) + "  " + widget.Pad(widget.Cut(s.Theme, "DIGEST", digest), digest, false)
	for _, n := range names {
		head += widget.Pad(widget.Cut(s.Theme, n, cell-1), cell, false)
	}
	lines := []string{"", " " + s.P(theme.Dim, strings.TrimRight(head, " "))}
	for _, b := range st.Buckets {
		line := widget.Pad(b.Name, 24, false) + widget.Pad(widget.Count(b.Source.Count), 9, true) + "  " + s.P(theme.Dim, widget.Pad(widget.Cut(s.Theme, widget.Middle(s.Theme, b.Source.SHA256, 7), digest), digest, false))
		for _, n := range names {
			line += parityCell(s, b, n, cell)
		}
		lines = append(lines, " "+line)
	}
	return append(lines, unequal(s, st)...)
}

func parityCell(s page.Scene, b migrate.Parity, node string, w int) string {
	d, ok := b.Nodes[node]
	g := s.Theme.Glyphs
	text, tone := g.Equal+" equal", theme.Good
	switch {
	case !ok:
		text, tone = g.Unknown+" unknown", theme.Dim
	case d.Count != b.Source.Count:
		text, tone = g.Different+" "+widget.Count(d.Count), theme.Bad
	case d != b.Source:
		text, tone = g.Different+" digest", theme.Bad
	}
	if widget.Width(text) >= w {
		text, _, _ = strings.Cut(text, " ")
	}
	return s.P(tone, widget.Pad(text, w, false))
}

func unequal(s page.Scene, st migrate.Status) []string {
	var lines []string
	for _, b := range st.Buckets {
		for _, l := range []struct {
			what string
			keys []string
		}{{"missing", b.Missing}, {"different", b.Different}, {"extra", b.Extra}} {
			for _, k := range l.keys {
				lines = append(lines, " "+s.P(theme.Bad, s.Theme.Glyphs.Different+" "+b.Name+" "+l.what)+"  "+widget.Clean(k))
			}
		}
	}
	if lines != nil {
		lines = append([]string{""}, lines...)
	}
	return lines
}

// buttons are the actions of the page: what is possible now, then what is not and why.
func (m *Model) buttons(s page.Scene) []string {
	var can []string
	var cannot []string
	for _, a := range action.Table() {
		if a.Scope != m.Name() {
			continue
		}
		name := strings.TrimPrefix(a.Name, "migrate ")
		if why := a.Impossible(s.State); why == "" {
			can = append(can, s.P(theme.Accent, a.Key)+" "+name)
		} else if relevant(s, a) {
			cannot = append(cannot, fmt.Sprintf("%s: %s", name, why))
		}
	}
	lines := []string{" " + strings.Join(can, "   ")}
	if len(can) == 0 {
		lines = nil
	}
	if len(cannot) > 0 {
		lines = append(lines, " "+s.P(theme.Dim, widget.Cut(s.Theme, strings.Join(cannot, "   "), s.W-2)))
	}
	return lines
}

// relevant leaves out reasons that tell nothing: what a move that is not there would need.
func relevant(s page.Scene, a action.Action) bool {
	st := s.Snap.Migration.Value
	switch a.Name {
	case "migrate start":
		return !st.Active()
	case "migrate cutover":
		return st.Active()
	case "migrate abort":
		return st.State == migrate.StateSoak || st.State == migrate.StateCutover || st.State == migrate.StateDone
	case "migrate pause":
		return st.Running && !st.Paused && !st.Verified && st.Active()
	}
	return false
}
