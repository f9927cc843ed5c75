package widget

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/theme"
)

// Width is how many cells s takes, escape sequences not counted.
func Width(s string) int { return ansi.StringWidth(s) }

// Cut shortens s to w cells, the ellipsis included.
func Cut(t theme.Theme, s string, w int) string {
	if w <= 0 {
		return ""
	}
	if Width(s) <= w {
		return s
	}
	return ansi.Truncate(s, w, t.Glyphs.Ellipsis)
}

// Middle shortens an id in its middle to w cells, so that both ends can be compared.
func Middle(t theme.Theme, s string, w int) string {
	r := []rune(s)
	if len(r) <= w || w < 3 {
		return Cut(t, s, w)
	}
	head := w / 2
	return string(r[:head]) + t.Glyphs.Ellipsis + string(r[len(r)-(w-head-1):])
}

// Pad fills s with blanks to w cells, to the left of it where right is true.
func Pad(s string, w int, right bool) string {
	n := w - Width(s)
	if n <= 0 {
		return s
	}
	if right {
		return strings.Repeat(" ", n) + s
	}
	return s + strings.Repeat(" ", n)
}

// Ends puts left and right at the two ends of a line of w cells; left gives way.
func Ends(t theme.Theme, left, right string, w int) string {
	room := w - Width(right)
	if room <= 0 {
		return Cut(t, right, w)
	}
	return Pad(Cut(t, left, room-1), room, false) + right
}

// Wrap breaks a text at words into lines of at most w cells, and words that are longer at the edge.
func Wrap(s string, w int) []string {
	if w <= 0 || s == "" {
		return nil
	}
	// Not ansi.Wrap: that breaks at hyphens too, and so in the middle of flags.
	var lines []string
	line := ""
	for _, word := range units(s) {
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) <= w:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
		for Width(line) > w {
			lines = append(lines, ansi.Truncate(line, w, ""))
			line = ansi.TruncateLeft(line, w, "")
		}
	}
	return append(lines, line)
}

// units are the words of a text; the groups of a number are one of them.
func units(s string) []string {
	var out []string
	for _, w := range strings.Fields(s) {
		if last := len(out) - 1; last >= 0 && digits(strings.TrimRight(w, ".,;:)")) == 3 && digits(out[last]) > 0 {
			out[last] += " " + w
			continue
		}
		out = append(out, w)
	}
	return out
}

// digits is how many a text of digits has in its last group; 0 where it is anything else.
func digits(s string) int {
	if strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != ' ' }) {
		return 0
	}
	return len(s) - strings.LastIndexByte(s, ' ') - 1
}

// Rule is a dim line across w cells.
func Rule(t theme.Theme, w int) string {
	return t.Paint(theme.Faint, strings.Repeat(t.Glyphs.Rule, max(w, 0)))
}

// Fit makes exactly h lines of at most w cells out of text, blank ones below.
func Fit(t theme.Theme, text string, w, h int) string {
	if h <= 0 {
		return ""
	}
	lines := strings.Split(text, "\n")
	if len(lines) > h {
		lines = lines[:h]
	}
	for i, l := range lines {
		lines[i] = Cut(t, l, w)
	}
	for len(lines) < h {
		lines = append(lines, "")
	}
	return strings.Join(lines, "\n")
}
