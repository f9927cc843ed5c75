package widget

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/theme"
)

// Width counts the cells of s, without escape sequences. Most texts are plain ASCII, and most of what drawing
// costs is this.
func Width(s string) int {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ansi.StringWidth(s)
		}
	}
	return len(s)
}

// Truncate shortens s to w cells, the ellipsis included.
func Truncate(t theme.Theme, s string, w int) string {
	if w <= 0 {
		return ""
	}
	if Width(s) <= w {
		return s
	}
	return ansi.Truncate(s, w, t.Glyphs.Ellipsis)
}

// TruncateMiddle shortens an id in its middle, so that both ends can be compared.
func TruncateMiddle(t theme.Theme, s string, w int) string {
	r := []rune(s)
	if len(r) <= w || w < 3 {
		return Truncate(t, s, w)
	}
	head := w / 2
	return string(r[:head]) + t.Glyphs.Ellipsis + string(r[len(r)-(w-head-1):])
}

// PadLeft puts blanks before s, to w cells.
func PadLeft(s string, w int) string { return strings.Repeat(" ", max(0, w-Width(s))) + s }

// PadRight puts blanks after s, to w cells.
func PadRight(s string, w int) string { return s + strings.Repeat(" ", max(0, w-Width(s))) }

// JustifyEnds puts left and right at the two ends of a line of w cells, and
// truncates left.
func JustifyEnds(t theme.Theme, left, right string, w int) string {
	leftWidth := w - Width(right)
	if leftWidth <= 0 {
		return Truncate(t, right, w)
	}
	return PadRight(Truncate(t, left, leftWidth-1), leftWidth) + right
}

// Wrap breaks a text into lines of at most w cells, at words if possible.
func Wrap(s string, w int) []string {
	if w <= 0 || s == "" {
		return nil
	}
	// Not ansi.Wrap: it breaks at hyphens, and so inside flags.
	var lines []string
	line := ""
	for _, word := range splitWords(s) {
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

// PaintWrapped wraps a sentence to w cells, a blank before each line.
func PaintWrapped(t theme.Theme, tone theme.Tone, s string, w int) []string {
	lines := Wrap(s, w-2)
	for i, l := range lines {
		lines[i] = " " + t.Paint(tone, l)
	}
	return lines
}

// splitWords splits a text at blanks, but keeps the digit groups of a number
// together.
func splitWords(s string) []string {
	var out []string
	for _, w := range strings.Fields(s) {
		if last := len(out) - 1; last >= 0 && lastGroupLength(strings.TrimRight(w, ".,;:)")) == 3 && lastGroupLength(out[last]) > 0 {
			out[last] += " " + w
			continue
		}
		out = append(out, w)
	}
	return out
}

// lastGroupLength is the length of the last digit group of a number, 0 for any
// other text.
func lastGroupLength(s string) int {
	if strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != ' ' }) {
		return 0
	}
	return len(s) - strings.LastIndexByte(s, ' ') - 1
}

// HorizontalRule is a dim line across w cells.
func HorizontalRule(t theme.Theme, w int) string {
	return t.Paint(theme.Faint, strings.Repeat(t.Glyphs.Rule, max(w, 0)))
}

// Fit makes exactly h lines of at most w cells.
func Fit(t theme.Theme, text string, w, h int) string {
	if h <= 0 {
		return ""
	}
	lines := strings.Split(text, "\n")
	if len(lines) > h {
		lines = lines[:h]
	}
	for i, l := range lines {
		lines[i] = Truncate(t, l, w)
	}
	for len(lines) < h {
		lines = append(lines, "")
	}
	return strings.Join(lines, "\n")
}
