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

// settingsTable compares what each node runs with what is declared.
func settingsTable(rc page.RenderContext, r admin.Rollout) []string {
	flags := slices.Sorted(maps.Keys(r.Declared))
	head, declared := []widget.Cell{{Text: "NODE"}}, []widget.Cell{{Text: "declared", Tone: theme.Dim}}
	differ := map[string]bool{}
	for _, f := range flags {
		head = append(head, widget.Cell{Text: "  " + strings.ToUpper(f)})
		declared = append(declared, widget.Cell{Text: "  " + r.Declared[f], Tone: theme.Dim})
		differ[f] = nodesDiffer(r, f)
	}
	for i := range head {
		head[i].Tone = theme.Dim
	}
	head = append(head, widget.Cell{Text: "RECORDED", Tone: theme.Dim}, widget.Cell{Text: "WOULD DENY", Tone: theme.Dim})
	rows := [][]widget.Cell{head, declared}
	for _, n := range nodeNames(r) {
		rows = append(rows, settingsRow(rc, n, r, flags, differ))
	}
	out := append(alignColumns(rc, rows), " "+rc.Paint(theme.Dim, legend(rc)))
	for _, n := range nodeNames(r) {
		out = append(out, rc.Paragraph(theme.Warn, omittedText(n, r.Nodes[n]))...)
	}
	return out
}

// nodesDiffer is true if two nodes that answered run different values.
func nodesDiffer(r admin.Rollout, flag string) bool {
	seen := map[string]bool{}
	for _, n := range r.Nodes {
		if !n.Unknown {
			seen[n.Active[flag]] = true
		}
	}
	return len(seen) > 1
}

func settingsRow(rc page.RenderContext, name string, r admin.Rollout, flags []string, differ map[string]bool) []widget.Cell {
	n, g := r.Nodes[name], rc.Theme.Glyphs
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
	return append(row, recordedCell(rc, n), deniedCell(n))
}

func recordedCell(rc page.RenderContext, n admin.RolloutNode) widget.Cell {
	if n.Active[admin.FlagBusAuth] != string(core.BusAuthSoft) || n.Since == 0 {
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	return widget.AgeCell(rc.AgeOf(n.Since))
}

func deniedCell(n admin.RolloutNode) widget.Cell {
	switch total, mode := len(n.WouldDeny)+n.More, n.Active[admin.FlagBusAuth]; {
	case mode == string(core.BusAuthOff):
		return widget.Cell{Text: "not recorded", Tone: theme.Warn}
	case n.Overflow > 0:
		return widget.Cell{Text: widget.FormatCount(total) + " and more", Tone: theme.Warn}
	case total > 0:
		return widget.Cell{Text: widget.FormatCount(total), Tone: theme.Warn}
	case mode != string(core.BusAuthSoft): // enforce mode records nothing
		return widget.Cell{Text: "-", Tone: theme.Faint}
	}
	return widget.Cell{Text: "nobody", Tone: theme.Dim}
}

// omittedText says what the table of denied clients omits.
func omittedText(name string, n admin.RolloutNode) string {
	var parts []string
	if n.More > 0 {
		parts = append(parts, fmt.Sprintf("lists the latest %s of %s", widget.FormatCount(len(n.WouldDeny)), widget.FormatCount(len(n.WouldDeny)+n.More)))
	}
	if n.Overflow > 0 {
		parts = append(parts, "had no space to record "+widget.Plural(n.Overflow, "admission", "admissions"))
	}
	if len(parts) == 0 {
		return ""
	}
	return name + " " + strings.Join(parts, ", and ") + "."
}

func legend(rc page.RenderContext) string {
	g := rc.Theme.Glyphs
	return g.Equal + " as declared   " + g.Note + " not as declared yet   " + g.Different + " the nodes differ   " + g.Unknown + " not known"
}

// alignColumns aligns cells; the last cell of a row may have any width.
func alignColumns(rc page.RenderContext, rows [][]widget.Cell) []string {
	var widths []int
	plain := func(c widget.Cell) string { return strings.TrimRight(widget.Sanitize(c.Text)+" "+c.Unit, " ") }
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(r)-1 {
				widths[i] = max(widths[i], widget.Width(plain(c)))
			}
		}
	}
	var out []string
	for _, r := range rows {
		line := " "
		for i, c := range r {
			text := rc.Paint(c.Tone, widget.Sanitize(c.Text))
			if c.Unit != "" {
				text += " " + rc.Paint(theme.Dim, c.Unit)
			}
			line += text + strings.Repeat(" ", max(0, widths[i]-widget.Width(plain(c)))+2)
		}
		out = append(out, strings.TrimRight(line, " "))
	}
	return out
}
