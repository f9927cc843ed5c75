package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/feed"
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

// Fresh is how old a status may be before it looks stale.
const Fresh = 3 * time.Second

// FreshList is the same for the lists that are asked for more seldom.
const FreshList = 10 * time.Second

// Await is what stands in the place of a topic of which nothing is known yet; nil once it is.
func (s Scene) Await(what string, t feed.Freshness) []string {
	if t.Known() {
		return nil
	}
	text := "Waiting for " + what
	if !t.Asked.IsZero() {
		if d := s.Now.Sub(t.Asked); d >= time.Second {
			text += " for " + widget.Span(d)
		}
	}
	if s.Snap.Server != "" {
		text += " from " + s.Snap.Server
	}
	out := s.Prose(theme.Dim, text+".")
	if t.Err != nil {
		out = append(out, s.Prose(theme.Plain, "So far: "+t.Err.Text+".")...)
		if t.Err.Next != "" {
			out = append(out, s.Prose(theme.Accent, "Do: "+t.Err.Next)...)
		}
	}
	return out
}

// Stale says of a topic that gets no answers how old it is; nil while it is fresh.
func (s Scene) Stale(t feed.Freshness, fresh time.Duration) []string {
	switch {
	case t.Awaited(s.Now, fresh):
		return s.Prose(theme.Dim, "Figures are from "+s.At(t.At)+"; newer ones are awaited.")
	case !t.Stale(s.Now, fresh):
		return nil
	}
	text := fmt.Sprintf("%s No answer for %s: figures are from %s.", s.Theme.Glyphs.Degraded, widget.Span(t.Age(s.Now)), s.At(t.At))
	if t.Err != nil {
		text += " " + upper(t.Err.Text) + "."
	}
	out := s.Prose(theme.Warn, text)
	if t.Err != nil && t.Err.Next != "" {
		out = append(out, s.Prose(theme.Accent, "Do: "+t.Err.Next)...)
	}
	return out
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
