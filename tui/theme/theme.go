package theme

import (
	"hash/fnv"
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

	HighContrast Mode = "high-contrast" // for a black background
	ColorBlind   Mode = "color-blind"   // states differ without red or without green cones
)

// Modes are all modes that come with the console.
func Modes() []Mode { return []Mode{Auto, Dark, Light, Basic, Mono, HighContrast, ColorBlind} }

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

// IsState is true of the tones that only states have.
func (t Tone) IsState() bool { return t == Good || t == Warn || t == Bad }

// Theme is a mode with its styles. It is an immutable value.
type Theme struct {
	Mode          Mode
	Glyphs        Glyphs
	SelectedRow   lipgloss.Style // the selected row
	Frame         lipgloss.Style // of a dialog
	styles        [Strong + 1]lipgloss.Style
	escapes       [Strong + 1]escapes
	clusterStyles []lipgloss.Style // one is chosen by the cluster's name
	noColor       bool
}

// New creates a theme of a skin that comes with the console; ascii restricts the console's own glyphs to ASCII.
func New(m Mode, ascii bool) Theme { return NewOf(Shipped(m), ascii) }

// NewOf creates a theme of any skin.
func NewOf(s Skin, ascii bool) Theme {
	t := Theme{Mode: s.Name, Glyphs: unicodeGlyphs()}
	if ascii {
		t.Glyphs = asciiGlyphs()
	}
	if s.NoColor {
		t.setMono()
	} else {
		t.setColors(s)
	}
	t.SelectedRow = lipgloss.NewStyle().Reverse(true)
	for i, style := range t.styles {
		t.escapes[i] = escapesOf(style)
	}
	return t
}

// escapes are what a style puts before and after a line of text. Rendering each piece of text by lipgloss
// takes longer than the rest of a drawing.
type escapes struct {
	before, after string
	isKnown       bool // the style treats blanks as any other character
}

func escapesOf(s lipgloss.Style) escapes {
	before, after, _ := strings.Cut(s.Render("x"), "x")
	return escapes{before, after, s.Render("x x") == before+"x x"+after}
}

func (t *Theme) setColors(s Skin) {
	fg := func(c string) lipgloss.Style {
		if c == "" {
			return lipgloss.NewStyle()
		}
		return lipgloss.NewStyle().Foreground(lipgloss.Color(c))
	}
	t.styles = [Strong + 1]lipgloss.Style{
		Plain: fg(s.Text), Dim: fg(s.Dim), Faint: fg(s.Faint), Accent: fg(s.Accent),
		Good: fg(s.Good), Warn: fg(s.Warn), Bad: fg(s.Bad), Strong: fg(s.Text).Bold(true),
	}
	t.Frame = fg(s.Accent)
	for _, n := range s.Names {
		t.clusterStyles = append(t.clusterStyles, fg(n).Bold(true))
	}
}

func (t *Theme) setMono() {
	p := lipgloss.NewStyle()
	t.noColor = true
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
	if e := t.escapes[tone]; e.isKnown && !strings.ContainsAny(s, "\n\r\t") {
		return e.before + s + e.after
	}
	return t.styles[tone].Render(s)
}

// SelectedState is the style of a state in the selected row.
func (t Theme) SelectedState(tone Tone) lipgloss.Style { return t.styles[tone].Reverse(true) }

// Style returns the style of a tone.
func (t Theme) Style(tone Tone) lipgloss.Style { return t.styles[tone] }

// ClusterStyle returns the style of a cluster's name. It depends only on the
// name, so that two consoles side by side can be told apart.
func (t Theme) ClusterStyle(name string) lipgloss.Style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return t.clusterStyles[int(h.Sum32()%uint32(len(t.clusterStyles)))]
}

// NameStyle is ClusterStyle, or a color that the operator has chosen for the cluster.
func (t Theme) NameStyle(name, color string) lipgloss.Style {
	if t.noColor || !IsColor(color) {
		return t.ClusterStyle(name)
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(color)).Bold(true)
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
