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

// comparisonKnown is true once nodes have reported what they hold. Before that
// the buckets are listed without nodes.
func comparisonKnown(st migrate.Status) bool {
	switch st.State {
	case migrate.StatePreflight, migrate.StateBackup, migrate.StateCopy:
		return false
	}
	return slices.ContainsFunc(st.Buckets, func(p migrate.Parity) bool { return len(p.Nodes) > 0 })
}

// comparisonTable has one line per bucket and one column per node.
func comparisonTable(rc page.RenderContext, st migrate.Status) []string {
	if !comparisonKnown(st) {
		return nil
	}
	nodes := map[string]bool{}
	for _, b := range st.Buckets {
		for n := range b.Nodes {
			nodes[n] = true
		}
	}
	names := slices.Sorted(maps.Keys(nodes))
	// A narrow page drops the digest first, then the words after the glyphs.
	digest, cell, changed := 9, 11, 0
	if slices.ContainsFunc(st.Buckets, func(b migrate.Parity) bool { return b.Changed > 0 }) {
		changed = 9
	}
	if 35+digest+changed+cell*len(names) > rc.Width-1 {
		digest = 0
	}
	if 35+digest+changed+cell*len(names) > rc.Width-1 {
		cell = 5
	}
	header := widget.PadRight("BUCKET", 24) + widget.PadLeft("SOURCE", 9) + "  " + widget.PadRight(widget.Truncate(rc.Theme, "DIGEST", digest), digest)
	for _, n := range names {
		header += widget.PadRight(widget.Truncate(rc.Theme, n, cell-1), cell)
	}
	if changed > 0 {
		header += widget.PadLeft("CHANGED", changed-2)
	}
	lines := []string{"", " " + rc.Paint(theme.Dim, strings.TrimRight(header, " "))}
	for _, b := range st.Buckets {
		line := widget.PadRight(b.Name, 24) + widget.PadLeft(widget.FormatCount(b.Source.Count), 9) + "  " + rc.Paint(theme.Dim, widget.PadRight(widget.Truncate(rc.Theme, widget.TruncateMiddle(rc.Theme, b.Source.SHA256, 7), digest), digest))
		if len(b.Nodes) == 0 && b.Name == core.TableRoomsByMember.Bucket() { // no file contains it
			lines = append(lines, " "+line+rc.Paint(theme.Dim, "derived from members"))
			continue
		}
		for _, n := range names {
			line += comparisonCell(rc, b, n, cell)
		}
		if changed > 0 {
			tone := theme.Plain
			if b.Changed == 0 {
				tone = theme.Dim
			}
			line += rc.Paint(tone, widget.PadLeft(widget.FormatCount(b.Changed), changed-2))
		}
		lines = append(lines, " "+line)
	}
	return append(lines, differingKeys(rc, st)...)
}

func comparisonCell(rc page.RenderContext, b migrate.Parity, node string, w int) string {
	d, ok := b.Nodes[node]
	g := rc.Theme.Glyphs
	text, tone := g.Equal+" equal", theme.Good
	switch {
	case !ok:
		text, tone = g.Unknown+" unknown", theme.Dim
	case d.Count != b.Source.Count:
		text, tone = g.Different+" "+widget.FormatCount(d.Count), theme.Bad
	case d != b.Source:
		text, tone = g.Different+" digest", theme.Bad
	}
	if widget.Width(text) >= w {
		text, _, _ = strings.Cut(text, " ")
	}
	return rc.Paint(tone, widget.PadRight(text, w))
}

func differingKeys(rc page.RenderContext, st migrate.Status) []string {
	var lines []string
	for _, b := range st.Buckets {
		for _, l := range []struct {
			what string
			keys []string
		}{{"missing", b.Missing}, {"different", b.Different}, {"extra", b.Extra}} {
			for _, k := range l.keys {
				node, key, _ := strings.Cut(k, "/")
				lines = append(lines, " "+rc.Paint(theme.Bad, rc.Theme.Glyphs.Different+" "+b.Name+" "+l.what+" on "+widget.Sanitize(node))+": "+widget.Sanitize(key))
			}
		}
	}
	if lines != nil {
		lines = append([]string{""}, lines...)
	}
	return lines
}
