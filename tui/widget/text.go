package widget

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/theme"
)

// Clean makes foreign text safe to draw: names are any UTF-8, and a control
// character or a change of direction in one could rewrite the screen around it.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return '\uFFFD'
		}
		return r
	}, s)
}

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

// Age is a duration in the largest unit that fits: 0.4 s, 26 m, 3 h, 71 d.
func Age(d time.Duration) string {
	n, u := AgeParts(d)
	return n + " " + u
}

// AgeParts is Age with its unit apart.
func AgeParts(d time.Duration) (figure, unit string) {
	d = max(d, 0)
	switch {
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f", d.Seconds()), "s"
	case d < 100*time.Second:
		return fmt.Sprint(int(d.Seconds())), "s"
	case d < 100*time.Minute:
		return fmt.Sprint(int(d.Minutes())), "m"
	case d < 48*time.Hour:
		return fmt.Sprint(int(d.Hours())), "h"
	}
	return fmt.Sprint(int(d.Hours() / 24)), "d"
}

// Span is a duration in two units, for prose: 13 s, 4 m 5 s, 3 h 12 m, 2 d 4 h.
func Span(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d m %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d m", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// Bytes is a size with its unit apart: 61 MB, 14.2 MB.
func Bytes(n int64) (figure, unit string) {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	f, i := float64(max(n, 0)), 0
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if i == 0 || f >= 20 {
		return fmt.Sprintf("%.0f", f), units[i]
	}
	return fmt.Sprintf("%.1f", f), units[i]
}

// Size is Bytes as one text.
func Size(n int64) string {
	f, u := Bytes(n)
	return f + " " + u
}

// Count writes a number in groups of three: 1 004.
func Count(n int) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return sign + s
}

// Grouped writes the counts in a sentence as Count does. Only what is followed by
// something that is counted is one: ports, years and the names of files stay.
func Grouped(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words[:len(words)-1] {
		n, err := strconv.Atoi(w)
		if err == nil && len(w) > 3 && strconv.Itoa(n) == w && counted(words[i+1]) {
			words[i] = Count(n)
		}
	}
	return strings.Join(words, " ")
}

func counted(word string) bool {
	switch strings.TrimSuffix(strings.TrimRight(word, ".,;:)"), "s") {
	case "key", "row", "user", "room", "member", "session", "message", "record", "operation", "client", "byte", "sealed":
		return true
	}
	return false
}

// Plural is "1 node", "2 nodes".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}
