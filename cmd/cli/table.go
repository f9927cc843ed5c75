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
	width := ansi.StringWidth
	if s, ok := w.(redacting); ok && s.ascii {
		width = utf8.RuneCountInString // each is written as one character of ASCII
	}
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
	_, _ = io.WriteString(w, all.String()) // a broken pipe: nobody reads
}
