package page

import (
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Scene is what a page draws from. It is made anew for every draw and every key.
type Scene struct {
	Snap   *feed.Snapshot
	Theme  theme.Theme
	Now    time.Time
	W, H   int    // cells that the page may fill
	Filter string // what stands behind /
	State  action.State
	Impact func(v cluster.View, node string) string // what stops if a node stops; nil: not known
}

// P paints text in a tone.
func (s Scene) P(t theme.Tone, text string) string { return s.Theme.Paint(t, text) }

// Clock is a moment as the operator's clock shows it, with its day where it is not today.
func (s Scene) Clock(m core.Millis) string {
	if m == 0 {
		return "never"
	}
	return s.At(m.Time())
}

// At is Clock for a time.
func (s Scene) At(at time.Time) string {
	at = at.In(s.Now.Location())
	if at.YearDay() != s.Now.YearDay() || at.Year() != s.Now.Year() {
		return at.Format("2 Jan 15:04")
	}
	return at.Format("15:04:05")
}

// Since is how long ago a moment was.
func (s Scene) Since(m core.Millis) time.Duration { return cluster.Age(m, s.Now) }

// Prose wraps text to the page, indented by one cell, in a tone.
func (s Scene) Prose(t theme.Tone, text string) []string {
	var out []string
	for _, l := range widget.Wrap(widget.Grouped(widget.Clean(text)), s.W-2) {
		out = append(out, " "+s.P(t, l))
	}
	return out
}

// Keep joins lines and cuts them to the page's width and height.
func (s Scene) Keep(lines []string) string {
	return widget.Fit(s.Theme, strings.Join(lines, "\n"), s.W, s.H)
}
