package theme

import (
	"hash/fnv"

	"charm.land/lipgloss/v2"

	"unibus/core/cluster"
)

// Mode is a set of colours.
type Mode string

// The modes. Auto is Dark until the terminal has said that it is light, has few colours or wants none.
const (
	Auto  Mode = "auto"
	Dark  Mode = "dark"
	Light Mode = "light"
	Basic Mode = "basic" // the terminal's own sixteen colours
	Mono  Mode = "mono"  // no colour: bold, dim and reverse alone
)

// ParseMode reads what an operator gave for --theme; "" is Auto.
func ParseMode(s string) (Mode, bool) {
	switch m := Mode(s); m {
	case "":
		return Auto, true
	case Auto, Dark, Light, Basic, Mono:
		return m, true
	}
	return Auto, false
}

// Tone is what a piece of text means, for its colour.
type Tone int

// The tones. Two greys beside plain text, one accent, three colours for state alone.
const (
	Plain  Tone = iota
	Dim         // secondary
	Faint       // rules, absent things
	Accent      // what is selected or can be done
	Good        // healthy
	Warn        // degraded
	Bad         // critical
	Strong      // a heading, a verdict
)

// Theme is a mode made into styles. It is a value and never changes.
type Theme struct {
	Mode   Mode
	Glyphs Glyphs
	Select lipgloss.Style // the selected row: reverse
	Frame  lipgloss.Style // the frame of a dialog
	styles [Strong + 1]lipgloss.Style
	names  []lipgloss.Style // for the names of clusters
}

// New makes a theme; ascii keeps every glyph of the console's own in seven bits.
func New(m Mode, ascii bool) Theme {
	t := Theme{Mode: m, Glyphs: unicode()}
	if ascii {
		t.Glyphs = plain()
	}
	switch m {
	case Light:
		t.colours("235", "241", "250", "25", "28", "130", "160", []string{"25", "90", "30", "94", "125"})
	case Basic:
		t.colours("", "8", "8", "6", "2", "3", "1", []string{"6", "5", "4"})
	case Mono:
		t.mono()
	default:
		t.colours("252", "245", "239", "80", "78", "214", "203", []string{"80", "147", "180", "111", "176"})
	}
	t.Select = lipgloss.NewStyle().Reverse(true)
	return t
}

func (t *Theme) colours(text, dim, faint, accent, good, warn, bad string, names []string) {
	fg := func(c string) lipgloss.Style {
		if c == "" {
			return lipgloss.NewStyle()
		}
		return lipgloss.NewStyle().Foreground(lipgloss.Color(c))
	}
	t.styles = [Strong + 1]lipgloss.Style{
		Plain: fg(text), Dim: fg(dim), Faint: fg(faint), Accent: fg(accent),
		Good: fg(good), Warn: fg(warn), Bad: fg(bad), Strong: fg(text).Bold(true),
	}
	t.Frame = fg(accent)
	for _, n := range names {
		t.names = append(t.names, fg(n).Bold(true))
	}
}

func (t *Theme) mono() {
	p := lipgloss.NewStyle()
	t.styles = [Strong + 1]lipgloss.Style{
		Plain: p, Dim: p.Faint(true), Faint: p.Faint(true), Accent: p.Underline(true),
		Good: p, Warn: p.Bold(true), Bad: p.Bold(true), Strong: p.Bold(true),
	}
	t.Frame = p
	t.names = []lipgloss.Style{p.Bold(true)}
}

// Paint renders text in a tone.
func (t Theme) Paint(tone Tone, s string) string {
	if s == "" {
		return ""
	}
	return t.styles[tone].Render(s)
}

// Style is the style of a tone.
func (t Theme) Style(tone Tone) lipgloss.Style { return t.styles[tone] }

// Cluster is the style of a cluster's name: always the same for the same name,
// so that two consoles side by side are told apart.
func (t Theme) Cluster(name string) lipgloss.Style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return t.names[int(h.Sum32()%uint32(len(t.names)))]
}

// Level is the glyph and the tone of a verdict or a finding; "" is not known.
func (t Theme) Level(l cluster.Level) (glyph string, tone Tone) {
	switch l {
	case cluster.Healthy:
		return t.Glyphs.Healthy, Good
	case cluster.Degraded:
		return t.Glyphs.Degraded, Warn
	case cluster.Critical:
		return t.Glyphs.Critical, Bad
	case cluster.Note:
		return t.Glyphs.Note, Dim
	}
	return t.Glyphs.Unknown, Dim
}
