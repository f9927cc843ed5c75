package theme

import (
	"cmp"
	"embed"
	"math"
	"slices"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"unibus/core"
	"unibus/tui/settings"
)

//go:embed skins
var shipped embed.FS

// Skin is a set of colors: "#rrggbb", or a number of the 256 colors that terminals share. A
// text of "" has the terminal's own color.
type Skin struct {
	Name       Mode     `toml:"-"`
	Background string   `toml:"background"` // that the colors are made for; the console does not paint it
	Text       string   `toml:"text"`
	Dim        string   `toml:"dim"`
	Faint      string   `toml:"faint"`
	Accent     string   `toml:"accent"`
	Good       string   `toml:"good"`
	Warn       string   `toml:"warn"`
	Bad        string   `toml:"bad"`
	Names      []string `toml:"names"`    // one is chosen by the cluster's name
	NoColor    bool     `toml:"no-color"` // instead of the others
}

// Shipped is a skin that comes with the console; Dark for a name that none has.
func Shipped(m Mode) Skin {
	data, err := shipped.ReadFile("skins/" + string(m) + ".toml")
	if err != nil {
		return Shipped(Dark)
	}
	s, _ := ParseSkin(string(m), "skins/"+string(m)+".toml", data) // a test reads each of them
	return s
}

// ParseSkin reads a skin of a file. Its errors are KindInvalid, and name the file and the line.
func ParseSkin(name, path string, data []byte) (Skin, error) {
	s := Skin{Name: Mode(name)}
	if err := settings.Decode(path, data, &s); err != nil {
		return Skin{}, err
	}
	lines := settings.Lines(data)
	if s.NoColor {
		return s, nil
	}
	for _, c := range append(s.colors(), skinColor{name: "text", value: s.Text, mayBeEmpty: true}, skinColor{name: "background", value: s.Background, mayBeEmpty: true}) {
		switch line := lines[c.name]; {
		case c.value == "" && !c.mayBeEmpty:
			return Skin{}, core.Errorf(core.KindInvalid, "%s:%d: the skin %s has no color %s", path, max(1, line), name, c.name).
				WithNext("add a line: %s = \"#rrggbb\"", c.name)
		case c.value != "" && !IsColor(c.value):
			return Skin{}, core.Errorf(core.KindInvalid, "%s:%d: %s is %q, which is no color", path, max(1, line), c.name, c.value).
				WithNext("write \"#rrggbb\", or the number of a color from \"0\" to \"255\"")
		}
	}
	return s, nil
}

// skinColor is a color that a skin names.
type skinColor struct {
	name, value string
	mayBeEmpty  bool
}

// colors are all colors of text, but that of plain text.
func (s Skin) colors() []skinColor {
	out := []skinColor{
		{name: "dim", value: s.Dim},
		{name: "faint", value: s.Faint},
		{name: "accent", value: s.Accent},
		{name: "good", value: s.Good},
		{name: "warn", value: s.Warn},
		{name: "bad", value: s.Bad},
	}
	for _, n := range s.Names {
		out = append(out, skinColor{name: "names", value: n})
	}
	if len(s.Names) == 0 {
		out = append(out, skinColor{name: "names"})
	}
	return out
}

// IsColor is true for a color that a skin or a cluster may have.
func IsColor(c string) bool {
	if digits, ok := strings.CutPrefix(c, "#"); ok {
		_, err := strconv.ParseUint(digits, 16, 32)
		return err == nil && len(digits) == 6
	}
	n, err := strconv.Atoi(c)
	return err == nil && n >= 0 && n <= 255
}

// LeastContrast is what WCAG 2 asks of text, and LeastGraphicContrast of what is no text.
const (
	LeastContrast        = 4.5
	LeastGraphicContrast = 3
)

// LowContrasts are the names of the colors that cannot be read well on the background, in the
// order of the file. It is empty for a skin that names no background.
func (s Skin) LowContrasts() []string {
	if s.NoColor || s.Background == "" {
		return nil
	}
	var out []string
	all := s.colors()
	if s.Text != "" {
		all = slices.Insert(all, 0, skinColor{name: "text", value: s.Text})
	}
	for _, c := range all {
		if Contrast(c.value, s.Background) < leastContrastOf(c.name) && !slices.Contains(out, c.name) {
			out = append(out, c.name)
		}
	}
	return out
}

// leastContrastOf: rules and signs for nothing are faint.
func leastContrastOf(name string) float64 {
	if name == "faint" {
		return LeastGraphicContrast
	}
	return LeastContrast
}

// Contrast is the ratio of two colors' luminances as WCAG 2 defines it, from 1 to 21.
func Contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(c string) float64 {
	r, g, b, _ := lipgloss.Color(c).RGBA()
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}

func linear(v uint32) float64 {
	f := float64(v) / 0xffff
	if f <= 0.04045 {
		return f / 12.92
	}
	return math.Pow((f+0.055)/1.055, 2.4)
}

// NamesOf lists modes for a message.
func NamesOf(modes []Mode) string {
	names := make([]string, len(modes))
	for i, m := range modes {
		names[i] = string(cmp.Or(m, Auto))
	}
	return strings.Join(names, ", ")
}
