package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"unibus/core"
)

// showable adapts a drawn screen to the terminal. Widgets lay out by grapheme clusters in UTF-8.
func (m *Model) showable(screen string) string {
	switch {
	case m.asciiOnly():
		return asciiScreen(screen)
	case m.measuresClusters:
		return screen
	}
	lines := strings.Split(screen, "\n")
	for i, l := range lines {
		lines[i] = alignCodePoints(l)
	}
	return strings.Join(lines, "\n")
}

// asciiOnly is true if nothing but ASCII may be written, names included.
func (m *Model) asciiOnly() bool { return m.localeIsASCII && !m.cfg.Unicode }

// asciiScreen replaces other characters, and keeps the columns in their place.
func asciiScreen(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] < 0x80 && (i+1 == len(s) || s[i+1] < 0x80) {
			b.WriteByte(s[i])
			i++
			continue
		}
		cluster, width := ansi.FirstGraphemeCluster(s[i:], ansi.GraphemeWidth)
		i += len(cluster)
		if first := []rune(cluster)[0]; width > 0 {
			b.WriteString(strings.Repeat(string(core.ASCIIRune(first)), width))
		} else if first < 0x80 { // a line break before a combining mark
			b.WriteRune(first)
		}
	}
	return b.String()
}

// alignCodePoints moves the columns of a line for a terminal that adds up the widths of code points. A
// family of emoji or a conjunct is wider there than its cluster, and takes the room of the blanks
// after it. Emoji are separated as such a terminal shows them: some would join them after all.
func alignCodePoints(line string) string {
	if isASCII(line) {
		return line
	}
	var b strings.Builder
	excess, afterBlank := 0, false
	var state byte
	for line != "" {
		seq, width, n, next := ansi.DecodeSequence(line, state, nil)
		if n == 1 && len(line) > 1 && line[1] >= 0x80 && width == 1 { // the decoder leaves out the marks after ASCII
			seq, width = ansi.FirstGraphemeCluster(line, ansi.GraphemeWidth)
			n = len(seq)
		}
		line, state = line[n:], next
		switch {
		case width == 0: // a style
		case seq != " ":
			if strings.ContainsRune(seq, '\u200d') && width > 1 {
				seq = strings.ReplaceAll(seq, "\u200d", "")
			}
			excess += ansi.StringWidthWc(seq) - width
			afterBlank = false
		case excess > 0 && afterBlank:
			excess--
			continue
		default:
			seq += strings.Repeat(" ", max(0, -excess))
			excess, afterBlank = max(0, excess), true
		}
		b.WriteString(seq)
	}
	return b.String()
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
