package page

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Fresh is how old a status may be before it looks stale.
const Fresh = 3 * time.Second

// FreshList is the same for the lists that are asked for more seldom.
const FreshList = 10 * time.Second

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

// Effect is what a key did.
type Effect struct {
	Handled bool
	Goto    string // another page to open
	Open    string // what to open there
}

// Hint is one key for the foot.
type Hint struct{ Key, Does string }

// Page is one of the console's pages.
type Page interface {
	Name() string
	View(s Scene) string
	Key(s Scene, key string) Effect
	Open(s Scene, id string)            // shows the detail of one thing
	Back() bool                         // closes what is open; false where nothing was
	Hints(s Scene) []Hint               // its own keys that work now, actions not among them
	Selection(s Scene) action.Selection // what actions are done to
	Want() feed.Want                    // the lists it shows
	Done(did action.Selection)          // an action was done to these: their marks go away
	Copy(s Scene) (what, text string)   // what y copies, "" for nothing
}

// Marker is a page on which things can be marked.
type Marker interface {
	Marked() int  // how many are
	Unmark() bool // takes all marks away; false where there were none
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

// Keep joins lines and cuts them to the page's width and height.
func (s Scene) Keep(lines []string) string {
	return widget.Fit(s.Theme, strings.Join(lines, "\n"), s.W, s.H)
}
