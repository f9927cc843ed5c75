package widget

import (
	"cmp"
	"fmt"
	"slices"

	"unibus/tui/theme"
)

// Scroll is the visible part of a text that is taller than its area.
type Scroll struct {
	DownKey     string // named below a text that goes on; "": down
	top, height int
}

// HandleKey scrolls. It returns false for keys that it does not use.
func (s *Scroll) HandleKey(key string) bool {
	switch key {
	case "up", "k":
		s.top--
	case "down", "j":
		s.top++
	case "pgup":
		s.top -= max(1, s.height-1) // the line that counts the lines below hides one
	case "pgdown":
		s.top += max(1, s.height-1)
	case "home", "g":
		s.top = 0
	case "end", "G":
		s.top = 1 << 30 // VisibleLines limits it
	default:
		return false
	}
	s.top = max(0, s.top)
	return true
}

// ToTop scrolls to the top. It returns false if it was there.
func (s *Scroll) ToTop() bool {
	scrolled := s.top > 0
	s.top = 0
	return scrolled
}

// VisibleLines returns at most height lines. The last one counts the lines below,
// if any.
func (s *Scroll) VisibleLines(t theme.Theme, lines []string, height int) []string {
	s.height = max(1, height)
	s.top = max(0, min(s.top, len(lines)-s.height))
	seen := lines[s.top:min(len(lines), s.top+s.height)]
	rest := len(lines) - s.top - len(seen)
	if rest == 0 {
		return seen
	}
	more := fmt.Sprintf("%s %s: %s", t.Glyphs.SortedDown, Plural(rest+1, "more line", "more lines"), cmp.Or(s.DownKey, "down"))
	return append(slices.Clone(seen[:len(seen)-1]), " "+t.Paint(theme.Dim, more))
}
