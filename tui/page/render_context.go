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

// RenderContext is what a page draws from. The root model builds it for every
// draw and every key.
type RenderContext struct {
	Snapshot      *feed.Snapshot
	Theme         theme.Theme
	Now           time.Time
	Width, Height int    // of the page, in cells
	Filter        string // the text after /
	HasVerdict    bool   // the screen has the verdict above it already
	IsPanel       bool   // the page is looked at only, beside the one that has the keys

	UnselectedInput action.Input    // without a selection
	Actions         []action.Action // with the keys in force
}

// ActionKey is the key in force of an action.
func (rc RenderContext) ActionKey(name string) string {
	for _, a := range rc.Actions {
		if a.Name == name {
			return a.Key
		}
	}
	return ""
}

// Paint renders text in a tone.
func (rc RenderContext) Paint(t theme.Tone, text string) string { return rc.Theme.Paint(t, text) }

// FormatMillis formats a time of day, with its date unless it is today, and the year unless it is this one.
func (rc RenderContext) FormatMillis(m core.Millis) string {
	if m == 0 {
		return "never"
	}
	return rc.FormatTime(m.Time())
}

// FormatTime is FormatMillis for a time.Time.
func (rc RenderContext) FormatTime(at time.Time) string {
	at = at.In(rc.Now.Location())
	switch {
	case at.Year() != rc.Now.Year():
		return at.Format("2 Jan 2006 15:04")
	case at.YearDay() != rc.Now.YearDay():
		return at.Format("2 Jan 15:04")
	}
	return at.Format("15:04:05")
}

// AgeOf returns the time since m.
func (rc RenderContext) AgeOf(m core.Millis) time.Duration { return cluster.Age(m, rc.Now) }

// Paragraph wraps text to the page, indented by one cell, in a tone.
func (rc RenderContext) Paragraph(t theme.Tone, text string) []string {
	var out []string
	for _, l := range widget.Wrap(widget.GroupCounts(widget.Sanitize(text)), rc.Width-2) {
		out = append(out, " "+rc.Paint(t, l))
	}
	return out
}

// Fit joins lines and cuts them to the page.
func (rc RenderContext) Fit(lines []string) string {
	return widget.Fit(rc.Theme, strings.Join(lines, "\n"), rc.Width, rc.Height)
}
