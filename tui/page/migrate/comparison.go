package migrate

import (
	"maps"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

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
	digest, cell, changed := 9, 11, 0
	if slices.ContainsFunc(st.Buckets, func(b migrate.Parity) bool { return b.Changed > 0 }) {
		changed = 9
	}
	if 35+digest+changed+cell*len(names) > s.W-1 {
		digest = 0
	}
	if 35+digest+changed+cell*len(names) > s.W-1 {
		cell = 5
	}
	head := widget.Pad("BUCKET", 24, false) + widget.Pad("SOURCE", 9, true) + "  " + widget.Pad(widget.Cut(s.Theme, "DIGEST", digest), digest, false)
	for _, n := range names {
		head += widget.Pad(widget.Cut(s.Theme, n, cell-1), cell, false)
	}
	if changed > 0 {
		head += widget.Pad("CHANGED", changed-2, true)
	}
	lines := []string{"", " " + s.P(theme.Dim, strings.TrimRight(head, " "))}
	for _, b := range st.Buckets {
		line := widget.Pad(b.Name, 24, false) + widget.Pad(widget.Count(b.Source.Count), 9, true) + "  " + s.P(theme.Dim, widget.Pad(widget.Cut(s.Theme, widget.Middle(s.Theme, b.Source.SHA256, 7), digest), digest, false))
		if len(b.Nodes) == 0 && b.Name == core.TableRoomsByMember.Bucket() { // no file holds it
			lines = append(lines, " "+line+s.P(theme.Dim, "derived from members"))
			continue
		}
		for _, n := range names {
			line += parityCell(s, b, n, cell)
		}
		if changed > 0 {
			tone := theme.Plain
			if b.Changed == 0 {
				tone = theme.Dim
			}
			line += s.P(tone, widget.Pad(widget.Count(b.Changed), changed-2, true))
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
