package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// active compares what each node runs with what is declared, a line a node.
func active(s page.Scene, r admin.Rollout) []string {
	flags := slices.Sorted(maps.Keys(r.Declared))
	head, declared := []widget.Cell{{Text: "NODE"}}, []widget.Cell{{Text: "declared", Tone: theme.Dim}}
	differ := map[string]bool{}
	for _, f := range flags {
		head = append(head, widget.Cell{Text: "  " + strings.ToUpper(f)})
		declared = append(declared, widget.Cell{Text: "  " + r.Declared[f], Tone: theme.Dim})
		differ[f] = differs(r, f)
	}
	for i := range head {
		head[i].Tone = theme.Dim
	}
	head = append(head, widget.Cell{Text: "RECORDED", Tone: theme.Dim}, widget.Cell{Text: "WOULD DENY", Tone: theme.Dim})
	rows := [][]widget.Cell{head, declared}
	for _, n := range names(r) {
		rows = append(rows, nodeCells(s, n, r, flags, differ))
	}
	out := append(columns(s, rows), " "+s.P(theme.Dim, legend(s)))
	for _, n := range names(r) {
		out = append(out, s.Prose(theme.Warn, unlisted(n, r.Nodes[n]))...)
	}
	return out
}

// differs is true where two nodes that answered run different values.
func differs(r admin.Rollout, flag string) bool {
	seen := map[string]bool{}
	for _, n := range r.Nodes {
		if !n.Unknown {
			seen[n.Active[flag]] = true
		}
	}
	return len(seen) > 1
}

func nodeCells(s page.Scene, name string, r admin.Rollout, flags []string, differ map[string]bool) []widget.Cell {
	n, g := r.Nodes[name], s.Theme.Glyphs
	row := []widget.Cell{{Text: name, Tone: theme.Strong}}
	if n.Unknown {
		return append(row, widget.Cell{Text: g.Unknown + " unknown: no answer", Tone: theme.Warn})
	}
	for _, f := range flags {
		v := n.Active[f]
		c := widget.Cell{Text: g.Equal + " " + v}
		switch {
		case differ[f]:
			c = widget.Cell{Text: g.Different + " " + v, Tone: theme.Warn}
		case v != r.Declared[f]:
			c = widget.Cell{Text: g.Note + " " + v, Tone: theme.Accent}
		}
		row = append(row, c)
	}
	return append(row, recorded(s, n), denies(n))
}

func recorded(s page.Scene, n admin.RolloutNode) widget.Cell {
	if n.Active[admin.FlagBusAuth] != string(core.BusAuthSoft) || n.Since == 0 {
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	f, u := widget.AgeParts(s.Since(n.Since))
	return widget.Cell{Text: f, Unit: u}
}

func denies(n admin.RolloutNode) widget.Cell {
	switch total, mode := len(n.WouldDeny)+n.More, n.Active[admin.FlagBusAuth]; {
	case mode == string(core.BusAuthOff):
		return widget.Cell{Text: "not recorded", Tone: theme.Warn}
	case n.Overflow > 0:
		return widget.Cell{Text: widget.Count(total) + " and more", Tone: theme.Warn}
	case total > 0:
		return widget.Cell{Text: widget.Count(total), Tone: theme.Warn}
	case mode != string(core.BusAuthSoft): // enforce denies, and records nobody
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	return widget.Cell{Text: "nobody", Tone: theme.Dim}
}

// unlisted says what the table below leaves out.
func unlisted(name string, n admin.RolloutNode) string {
	var parts []string
	if n.More > 0 {
		parts = append(parts, fmt.Sprintf("lists the latest %s of %s", widget.Count(len(n.WouldDeny)), widget.Count(len(n.WouldDeny)+n.More)))
	}
	if n.Overflow > 0 {
		parts = append(parts, "had no room to record "+widget.Plural(n.Overflow, "admission", "admissions"))
	}
	if len(parts) == 0 {
		return ""
	}
	return name + " " + strings.Join(parts, ", and ") + "."
}

func legend(s page.Scene) string {
	g := s.Theme.Glyphs
	return g.Equal + " as declared   " + g.Note + " not as declared yet   " + g.Different + " the nodes differ   " + g.Unknown + " not known"
}

// columns sets cells under each other; the last of a row may be as long as it likes.
func columns(s page.Scene, rows [][]widget.Cell) []string {
	var wide []int
	plain := func(c widget.Cell) string { return strings.TrimRight(widget.Clean(c.Text)+" "+c.Unit, " ") }
	for _, r := range rows {
		for i, c := range r {
			if i == len(wide) {
				wide = append(wide, 0)
			}
			if i < len(r)-1 {
				wide[i] = max(wide[i], widget.Width(plain(c)))
			}
		}
	}
	var out []string
	for _, r := range rows {
		line := " "
		for i, c := range r {
			text := s.P(c.Tone, widget.Clean(c.Text))
			if c.Unit != "" {
				text += " " + s.P(theme.Dim, c.Unit)
			}
			line += text + strings.Repeat(" ", max(0, wide[i]-widget.Width(plain(c)))+2)
		}
		out = append(out, strings.TrimRight(line, " "))
	}
	return out
}
