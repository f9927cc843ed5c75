package widget

import (
	"fmt"
	"strings"

	"unibus/tui/theme"
)

const gap = "  "

// View draws the head and as many rows as fit into h lines of w cells. The last
// column gives way first, the first never.
func (t *Table) View(th theme.Theme, w, h int) string {
	if h <= 0 || w <= 0 {
		return ""
	}
	widths := t.widths(w - 4)
	lines := []string{t.head(th, widths)}
	if len(t.rows) == 0 {
		return strings.Join(append(lines, t.nothing(th, w)...), "\n")
	}
	rows := h - 1
	t.scroll(rows)
	for i := t.top; i < min(len(t.rows), t.top+rows); i++ {
		lines = append(lines, t.row(th, t.rows[i], i == t.at, widths))
	}
	return strings.Join(lines, "\n")
}

func (t *Table) scroll(rows int) {
	t.height = rows
	if t.at < t.top {
		t.top = t.at
	}
	if t.at >= t.top+rows {
		t.top = t.at - rows + 1
	}
	t.top = max(0, min(t.top, len(t.rows)-rows))
}

func (t *Table) nothing(th theme.Theme, w int) []string {
	text := t.Empty
	if t.filter != "" && t.total > 0 {
		text = fmt.Sprintf("Nothing matches /%s among %s. Esc clears the filter.", Clean(t.filter), Count(t.total))
	}
	var out []string
	for _, l := range Wrap(text, w-6) {
		out = append(out, "   "+th.Paint(theme.Dim, l))
	}
	return out
}

// widths decides how many cells each column gets; 0 leaves a column out.
func (t *Table) widths(room int) []int {
	ws := make([]int, len(t.Columns))
	for i := range t.Columns {
		ws[i] = t.natural(i)
	}
	for i := len(ws) - 1; i >= 0; i-- {
		over := total(ws) - room
		if over <= 0 {
			break
		}
		low := t.Columns[i].Min
		if low == 0 {
			low = ws[i] // figures cut in half mislead: such a column goes as a whole
		}
		switch {
		case ws[i]-over >= low:
			ws[i] -= over
		case i > 0:
			ws[i] = 0
		default:
			ws[i] = max(1, min(ws[i], room))
		}
	}
	return ws
}

func total(ws []int) int {
	n := 0
	for _, w := range ws {
		if w > 0 {
			n += w + len(gap)
		}
	}
	return n - len(gap)
}

// measure is done once a Load: ten thousand rows are too many for every key.
func (t *Table) measure() {
	t.wide = make([]int, len(t.Columns))
	for _, r := range t.loaded {
		for i := range min(len(r.Cells), len(t.wide)) {
			t.wide[i] = max(t.wide[i], Width(Clean(r.Cells[i].plain())))
		}
	}
}

func (t *Table) natural(col int) int {
	c := t.Columns[col]
	w := Width(c.Title)
	if t.sortBy == col {
		w++
	}
	if col < len(t.wide) {
		w = max(w, t.wide[col])
	}
	if c.Max > 0 {
		w = min(w, max(c.Max, Width(c.Title)))
	}
	return w
}

func (t *Table) head(th theme.Theme, ws []int) string {
	var parts []string
	for i, c := range t.Columns {
		if ws[i] == 0 {
			continue
		}
		title := c.Title
		if t.sortBy == i {
			title += th.Glyphs.Up
			if t.down {
				title = c.Title + th.Glyphs.Down
			}
		}
		parts = append(parts, Pad(Cut(th, title, ws[i]), ws[i], c.Right))
	}
	return "   " + th.Paint(theme.Dim, strings.TrimRight(strings.Join(parts, gap), " "))
}

func (t *Table) row(th theme.Theme, r Row, selected bool, ws []int) string {
	lead := " "
	if selected {
		lead = th.Glyphs.Cursor
	}
	mark := " "
	if t.marks[r.Key] {
		mark = th.Glyphs.Mark
	}
	if selected {
		return th.Paint(theme.Accent, mark) + th.Select.Render(lead+" "+t.cells(th, r, ws, true)+" ")
	}
	return th.Paint(theme.Accent, mark) + lead + " " + t.cells(th, r, ws, false)
}

func (t *Table) cells(th theme.Theme, r Row, ws []int, bare bool) string {
	var parts []string
	for i, c := range t.Columns {
		if ws[i] == 0 {
			continue
		}
		var cell Cell
		if i < len(r.Cells) {
			cell = r.Cells[i]
		}
		parts = append(parts, draw(th, cell, ws[i], c.Right, bare, r.Dim))
	}
	return strings.Join(parts, gap)
}

func draw(th theme.Theme, c Cell, w int, right, bare, dim bool) string {
	text, unit := Clean(c.Text), c.Unit
	if full := Clean(c.plain()); Width(full) > w {
		text, unit = Cut(th, full, w), ""
	}
	used := Width(text)
	if unit != "" {
		used += 1 + Width(unit)
	}
	fill := strings.Repeat(" ", max(0, w-used))
	if !bare {
		tone := c.Tone
		if dim && tone == theme.Plain {
			tone = theme.Dim
		}
		text, unit = th.Paint(tone, text), th.Paint(theme.Dim, unit)
	}
	if unit != "" {
		text += " " + unit
	}
	if right {
		return fill + text
	}
	return text + fill
}
