package page

import (
	"strings"

	"unibus/tui/theme"
	"unibus/tui/widget"
)

// LabeledLines are lines with their labels in one column.
type LabeledLines struct {
	Context    RenderContext
	LabelWidth int
	Lines      []string
}

// Add adds a line, wrapped if necessary. It skips empty values.
func (f *LabeledLines) Add(label, value string) {
	if value == "" {
		return
	}
	label = widget.PadRight(label, f.LabelWidth)
	lines := []string{value} // a value that fits keeps its blanks
	if valueWidth := f.Context.Width - f.LabelWidth - 4; widget.Width(value) > valueWidth {
		lines = widget.Wrap(value, valueWidth)
	}
	for i, l := range lines {
		if i > 0 {
			label = strings.Repeat(" ", f.LabelWidth)
		}
		f.Lines = append(f.Lines, " "+f.Context.Paint(theme.Dim, label)+"  "+l)
	}
}

// JoinColumns joins parts into columns that are a multiple of least cells wide.
// It drops the parts that do not fit.
func JoinColumns(w, least int, parts ...string) string {
	line := ""
	for _, p := range parts {
		if p == "" {
			continue
		}
		next := p
		if line != "" {
			next = widget.PadRight(line, ((widget.Width(line)+2)/least+1)*least) + p
			if widget.Width(line)+2 <= least {
				next = widget.PadRight(line, least) + p
			}
		}
		if line != "" && widget.Width(next) > w {
			break
		}
		line = next
	}
	return line
}
