package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// columnGap is what separates the columns of a table.
const columnGap = "  "

// Table prints rows under a head, columns aligned as a terminal shows them: a character of
// CJK takes two cells, a mark none. Tabs separate the cells of head and of each row.
func Table(w io.Writer, head string, rows func(print func(format string, args ...any))) {
	lines := [][]string{strings.Split(head, "\t")}
	rows(func(format string, args ...any) {
		lines = append(lines, strings.Split(fmt.Sprintf(format, args...), "\t"))
	})
	width := cellWidth(w)
	var widths []int
	for _, cells := range lines {
		for i, cell := range cells[:len(cells)-1] { // the last one is not padded
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	var all strings.Builder
	for _, cells := range lines {
		for i, cell := range cells {
			all.WriteString(cell)
			if i < len(cells)-1 {
				all.WriteString(strings.Repeat(" ", widths[i]-width(cell)) + columnGap)
			}
		}
		all.WriteByte('\n')
	}
	_, _ = io.WriteString(w, all.String()) // a broken pipe has no reader
}

// Row is a line of cells, each padded to the width of its column as a terminal shows it; the
// last one is not. It is for tables whose later rows are not known yet.
func Row(w io.Writer, widths []int, cells ...string) string {
	width := cellWidth(w)
	var line strings.Builder
	for i, cell := range cells {
		line.WriteString(cell)
		if i < len(widths) {
			line.WriteString(strings.Repeat(" ", max(0, widths[i]-width(cell))) + columnGap)
		}
	}
	return line.String()
}

// cellWidth is how many cells a text takes where it is written to.
func cellWidth(w io.Writer) func(string) int {
	if s, ok := w.(redacting); ok && s.ascii {
		return utf8.RuneCountInString // each is written as one character of ASCII
	}
	return ansi.StringWidth
}
