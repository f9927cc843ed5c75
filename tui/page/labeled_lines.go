package page

import (
	"strings"

	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Facts are labelled lines, the labels in one column.
type Facts struct {
	Scene Scene
	Label int // the labels' width
	Lines []string
}

// Add adds a line; empty values are left out. Values that do not fit are wrapped below.
func (f *Facts) Add(label, value string) {
	if value == "" {
		return
	}
	label = widget.Pad(label, f.Label, false)
	lines := []string{value} // blanks inside it are kept where it fits
	if room := f.Scene.W - f.Label - 4; widget.Width(value) > room {
		lines = widget.Wrap(value, room)
	}
	for i, l := range lines {
		if i > 0 {
			label = strings.Repeat(" ", f.Label)
		}
		f.Lines = append(f.Lines, " "+f.Scene.P(theme.Dim, label)+"  "+l)
	}
}

// Columns puts parts beside each other in a line, each at least min cells wide, and drops those that do not fit.
func Columns(w, least int, parts ...string) string {
	line := ""
	for _, p := range parts {
		if p == "" {
			continue
		}
		next := p
		if line != "" {
			next = widget.Pad(line, ((widget.Width(line)+2)/least+1)*least, false) + p
			if widget.Width(line)+2 <= least {
				next = widget.Pad(line, least, false) + p
			}
		}
		if line != "" && widget.Width(next) > w {
			break
		}
		line = next
	}
	return line
}
