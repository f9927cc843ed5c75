package widget

import (
	"fmt"
	"slices"

	"unibus/tui/theme"
)

// Scroll is which part is seen of a text that is taller than its place.
type Scroll struct{ top, room int }

// Key moves it; false where the key is none of its own.
func (s *Scroll) Key(key string) bool {
	switch key {
	case "up", "k":
		s.top--
	case "down", "j":
		s.top++
	case "pgup":
		s.top -= s.room
	case "pgdown":
		s.top += s.room
	case "home", "g":
		s.top = 0
	case "end", "G":
		s.top = 1 << 30 // Lines knows how far that is
	default:
		return false
	}
	s.top = max(0, s.top)
	return true
}

// Back goes to the top; false where it was there.
func (s *Scroll) Back() bool {
	was := s.top > 0
	s.top = 0
	return was
}

// Lines are those that are seen, at most room of them. The last says how many
// come below, where any do.
func (s *Scroll) Lines(t theme.Theme, lines []string, room int) []string {
	s.room = max(1, room)
	s.top = max(0, min(s.top, len(lines)-s.room))
	seen := lines[s.top:min(len(lines), s.top+s.room)]
	rest := len(lines) - s.top - len(seen)
	if rest == 0 {
		return seen
	}
	more := fmt.Sprintf("%s %s: down", t.Glyphs.Down, Plural(rest+1, "more line", "more lines"))
	return append(slices.Clone(seen[:len(seen)-1]), " "+t.Paint(theme.Dim, more))
}
