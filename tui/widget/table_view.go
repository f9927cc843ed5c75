package widget

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/theme"
)

const columnGap = "  "

// View draws the header and the rows that fit into h lines of w cells. The last
// column shrinks first, the first never.
func (t *Table) View(th theme.Theme, w, h int) string {
	if h <= 0 || w <= 0 {
		return ""
	}
	widths := t.columnWidths(w - 4)
	lines := []string{t.drawHeader(th, widths)}
	if t.total == 0 {
		return strings.Join(append(lines, t.drawEmpty(th, w)...), "\n")
	}
	rows := h - 1
	t.visibleRows = rows
	lines[0] = t.withPlace(th, lines[0], w, rows)
	t.header = strings.TrimRight(ansi.Strip(lines[0]), " ")
	t.scrollToCursor(rows)
	for i := t.firstVisible; i < min(t.total, t.firstVisible+rows); i++ {
		r, loaded := t.rowAt(i)
		if !loaded {
			r = Row{Cells: []Cell{{Text: th.Glyphs.Ellipsis, Tone: theme.Faint}}}
		}
		lines = append(lines, t.drawRow(th, r, i == t.cursorRow, widths))
	}
	return strings.Join(lines, "\n")
}

// withPlace adds the cursor's place to the header of a list that is longer than the screen,
// if there is room.
func (t *Table) withPlace(th theme.Theme, header string, w, rows int) string {
	place := FormatCount(t.cursorRow+1) + " of " + FormatCount(t.total)
	if t.total <= rows || Width(header)+Width(place)+3 > w {
		return header
	}
	return PadRight(header, w-Width(place)-1) + th.Paint(theme.Dim, place)
}

func (t *Table) scrollToCursor(rows int) {
	if t.cursorRow < t.firstVisible {
		t.firstVisible = t.cursorRow
	}
	if t.cursorRow >= t.firstVisible+rows {
		t.firstVisible = t.cursorRow - rows + 1
	}
	t.firstVisible = max(0, min(t.firstVisible, t.total-rows))
}

func (t *Table) drawEmpty(th theme.Theme, w int) []string {
	text := t.Empty
	if t.filter != "" && t.totalRows > 0 {
		text = fmt.Sprintf("No row of %[2]s matches /%[1]s. Esc clears the filter.", Sanitize(t.filter), FormatCount(t.totalRows))
	}
	var out []string
	for _, l := range Wrap(text, w-6) {
		out = append(out, "   "+th.Paint(theme.Dim, l))
	}
	return out
}

// columnWidths decides the width of each column; 0 omits it.
func (t *Table) columnWidths(available int) []int {
	ws := make([]int, len(t.columns))
	for i := range t.columns {
		if isEmpty := t.columns[i].IfFilled && (i >= len(t.contentWidths) || t.contentWidths[i] == 0); !isEmpty && !t.isHidden(i) {
			ws[i] = t.naturalWidth(i)
		}
	}
	order := t.inOrder()
	for _, i := range slices.Backward(order[1:]) {
		if t.columns[i].Extra && sumWidths(ws) > available {
			ws[i] = 0
		}
	}
	for _, i := range slices.Backward(order) {
		excess := sumWidths(ws) - available
		if excess <= 0 {
			break
		}
		least := t.columns[i].Min
		if least == 0 {
			least = ws[i] // half a number misleads: such a column is dropped
		}
		switch {
		case ws[i]-excess >= least:
			ws[i] -= excess
		case i > 0:
			ws[i] = 0
		default:
			ws[i] = max(1, min(ws[i], available))
		}
	}
	return ws
}

func sumWidths(ws []int) int {
	n := 0
	for _, w := range ws {
		if w > 0 {
			n += w + len(columnGap)
		}
	}
	return n - len(columnGap)
}

// measureColumns runs once per SetRows: measuring ten thousand rows would delay
// every key. It only widens columns.
func (t *Table) measureColumns() {
	if t.contentWidths == nil {
		t.contentWidths = make([]int, len(t.columns))
	}
	for _, r := range t.filtered {
		for i := range min(len(r.Cells), len(t.contentWidths)) {
			t.contentWidths[i] = max(t.contentWidths[i], Width(Sanitize(r.Cells[i].fullText())))
		}
	}
}

func (t *Table) naturalWidth(col int) int {
	c := t.columns[col]
	w := Width(c.Title)
	if t.sortColumn == col {
		w++
	}
	if col < len(t.contentWidths) {
		w = max(w, t.contentWidths[col])
	}
	if c.Max > 0 {
		w = min(w, max(c.Max, Width(c.Title)))
	}
	return w
}

func (t *Table) drawHeader(th theme.Theme, ws []int) string {
	var parts []string
	for _, i := range t.inOrder() {
		if ws[i] == 0 {
			continue
		}
		c := t.columns[i]
		title := c.Title
		if t.sortColumn == i {
			title += th.Glyphs.SortedUp
			if t.descending {
				title = c.Title + th.Glyphs.SortedDown
			}
		}
		parts = append(parts, c.pad(Truncate(th, title, ws[i]), ws[i]))
	}
	return "   " + th.Paint(theme.Dim, strings.TrimRight(strings.Join(parts, columnGap), " "))
}

func (t *Table) drawRow(th theme.Theme, r Row, selected bool, ws []int) string {
	if t.IsStale {
		r = r.Dim()
	}
	selected = selected && !t.HidesCursor
	lead := " "
	if selected {
		lead = th.Glyphs.Cursor
	}
	mark := " "
	if t.marks[r.Key] {
		mark = th.Glyphs.Mark
	}
	if selected {
		return th.Paint(theme.Accent, mark) + t.drawSelected(th, lead+" ", r, ws)
	}
	return th.Paint(theme.Accent, mark) + lead + " " + t.drawCells(th, r, ws)
}

// drawSelected draws the row under the cursor. A cell that shows a state keeps its color.
func (t *Table) drawSelected(th theme.Theme, run string, r Row, ws []int) string {
	out, gap := "", ""
	for _, i := range t.inOrder() {
		if ws[i] == 0 {
			continue
		}
		c := t.columns[i]
		var cell Cell
		if i < len(r.Cells) {
			cell = r.Cells[i]
		}
		text := drawCell(th, cell, ws[i], c.Right, true, r.IsDim)
		run += gap
		gap = columnGap
		if !cell.Tone.IsState() {
			run += text
			continue
		}
		out, run = out+th.SelectedRow.Render(run)+th.SelectedState(cell.Tone).Render(text), ""
	}
	return out + th.SelectedRow.Render(run+" ")
}

func (t *Table) drawCells(th theme.Theme, r Row, ws []int) string {
	var parts []string
	for _, i := range t.inOrder() {
		if ws[i] == 0 {
			continue
		}
		c := t.columns[i]
		var cell Cell
		if i < len(r.Cells) {
			cell = r.Cells[i]
		}
		parts = append(parts, drawCell(th, cell, ws[i], c.Right, false, r.IsDim))
	}
	return strings.Join(parts, columnGap)
}

func drawCell(th theme.Theme, c Cell, w int, right, unstyled, dim bool) string {
	text, unit := Sanitize(c.Text), c.Unit
	if full := Sanitize(c.fullText()); Width(full) > w {
		text, unit = Truncate(th, full, w), ""
	}
	used := Width(text)
	if unit != "" {
		used += 1 + Width(unit)
	}
	fill := strings.Repeat(" ", max(0, w-used))
	if !unstyled {
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
