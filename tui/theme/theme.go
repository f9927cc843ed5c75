package theme

import (
	"hash/fnv"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"unibus/core/cluster"
)

// Mode is a set of colors.
type Mode string

// The modes. Auto is Dark until the terminal reports a light background, few colors or none.
const (
	Auto  Mode = "auto"
	Dark  Mode = "dark"
	Light Mode = "light"
	Basic Mode = "basic" // the terminal's own sixteen colors
	Mono  Mode = "mono"  // no color: only bold, dim, underline and reverse
)

// Modes are all modes.
func Modes() []Mode { return []Mode{Auto, Dark, Light, Basic, Mono} }

// ModeNames lists all modes for a message.
func ModeNames() string {
	var names []string
	for _, m := range Modes() {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// ParseMode reads the value of --theme; "" is Auto.
func ParseMode(s string) (Mode, bool) {
	if m := Mode(s); slices.Contains(Modes(), m) {
		return m, true
	}
	return Auto, s == ""
}

// Tone is the meaning of a piece of text, which decides its color.
type Tone int

// The tones: two grays besides plain text, one accent, and three colors only for states.
const (
	Plain  Tone = iota
	Dim         // secondary
	Faint       // rules, absent objects
	Accent      // selected, or available
	Good        // healthy
	Warn        // degraded
	Bad         // critical
	Strong      // a title, a verdict
)

// Theme is a mode with its styles. It is an immutable value.
type Theme struct {
	Mode          Mode
	Glyphs        Glyphs
	SelectedRow   lipgloss.Style // the selected row
	Frame         lipgloss.Style // of a dialog
	styles        [Strong + 1]lipgloss.Style
	clusterStyles []lipgloss.Style // one is chosen by the cluster's name
}

// New creates a theme; ascii restricts the console's own glyphs to ASCII.
func New(m Mode, ascii bool) Theme {
	t := Theme{Mode: m, Glyphs: unicodeGlyphs()}
	if ascii {
		t.Glyphs = asciiGlyphs()
	}
	switch m {
	case Light:
		t.setColors("235", "241", "250", "25", "28", "130", "160", []string{"25", "90", "30", "94", "125"})
	case Basic:
		t.setColors("", "8", "8", "6", "2", "3", "1", []string{"6", "5", "4"})
	case Mono:
		t.setMono()
	default:
		t.setColors("252", "245", "239", "80", "78", "214", "203", []string{"80", "147", "180", "111", "176"})
	}
	t.SelectedRow = lipgloss.NewStyle().Reverse(true)
	return t
}

func (t *Theme) setColors(text, dim, faint, accent, good, warn, bad string, names []string) {
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
		t.clusterStyles = append(t.clusterStyles, fg(n).Bold(true))
	}
}

func (t *Theme) setMono() {
	p := lipgloss.NewStyle()
	t.styles = [Strong + 1]lipgloss.Style{
		Plain: p, Dim: p.Faint(true), Faint: p.Faint(true), Accent: p.Underline(true),
		Good: p, Warn: p.Bold(true), Bad: p.Bold(true), Strong: p.Bold(true),
	}
	t.Frame = p
	t.clusterStyles = []lipgloss.Style{p.Bold(true)}
}

// Paint renders text in a tone.
func (t Theme) Paint(tone Tone, s string) string {
	if s == "" {
		return ""
	}
	return t.styles[tone].Render(s)
}

// Style returns the style of a tone.
func (t Theme) Style(tone Tone) lipgloss.Style { return t.styles[tone] }

// ClusterStyle returns the style of a cluster's name. It depends only on the
// name, so that two consoles side by side can be told apart.
func (t Theme) ClusterStyle(name string) lipgloss.Style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return t.clusterStyles[int(h.Sum32()%uint32(len(t.clusterStyles)))]
}

// Level returns the glyph and the tone of a verdict or a finding; "" is not
// known.
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
