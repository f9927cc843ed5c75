package page

import (
	"github.com/charmbracelet/x/ansi"

	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Old is true where the status is of some time ago, whether because nobody
// answers or because nobody looked.
func (s Scene) Old() bool {
	t := s.Snap.Status
	return t.Stale(s.Now, Fresh) || t.Awaited(s.Now, Fresh)
}

// AsOf is the scene at the moment of an old status: what it tells of does not
// grow older by itself, for nobody knows whether it goes on.
func (s Scene) AsOf() Scene {
	if s.Old() {
		s.Now = s.Snap.Status.At
	}
	return s
}

// Faded makes lines dim where the status is old: no colour of theirs is of now.
func (s Scene) Faded(lines []string) []string {
	if !s.Old() {
		return lines
	}
	return s.Fade(lines)
}

// Fade makes lines dim.
func (s Scene) Fade(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = s.P(theme.Dim, ansi.Strip(l))
	}
	return out
}

// FadedRow is Faded for a row of a table.
func (s Scene) FadedRow(r widget.Row) widget.Row {
	if !s.Old() {
		return r
	}
	r.Dim = true
	for i := range r.Cells {
		r.Cells[i].Tone = theme.Dim
	}
	return r
}
