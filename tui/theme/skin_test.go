package theme_test

import (
	"image/color"
	"math"
	"os"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"

	"unibus/core"
	"unibus/tui/theme"
)

func shippedSkins(t *testing.T) map[theme.Mode]theme.Skin {
	t.Helper()
	out := map[theme.Mode]theme.Skin{}
	for _, m := range theme.Modes() {
		if m == theme.Auto {
			continue
		}
		path := "skins/" + string(m) + ".toml"
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out[m], err = theme.ParseSkin(string(m), path, data); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestShippedSkinsCanBeRead: every text has the contrast that WCAG 2 asks for on the background that
// the skin is made for, and other parts have the lower one.
func TestShippedSkinsCanBeRead(t *testing.T) {
	t.Parallel()
	skins := shippedSkins(t)
	for m, s := range skins {
		if s.Background == "" && !s.NoColor {
			t.Errorf("%s names no background", m)
		}
		if low := s.LowContrasts(); len(low) > 0 {
			t.Errorf("%s: %v cannot be read well on %s", m, low, s.Background)
		}
	}
	for _, c := range []string{skins[theme.HighContrast].Text, skins[theme.HighContrast].Dim, skins[theme.HighContrast].Bad, skins[theme.HighContrast].Warn} {
		if got := theme.Contrast(c, "#000000"); got < 7 {
			t.Errorf("high-contrast: %s has a contrast of %.1f", c, got)
		}
	}
}

// TestContrast against the values of the definition.
func TestContrast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#ffffff", "#ffffff", 1}, {"#767676", "#ffffff", 4.54}, {"#777777", "#ffffff", 4.48}, {"15", "0", 21}} {
		if got := theme.Contrast(c.a, c.b); math.Abs(got-c.want) > 0.01 {
			t.Errorf("%s on %s is %.2f, want %.2f", c.a, c.b, got, c.want)
		}
	}
	low := theme.Skin{Background: "#000000", Text: "#333333", Dim: "#ffffff", Faint: "#000000", Accent: "15", Good: "15", Warn: "15", Bad: "52", Names: []string{"15"}}
	if got := strings.Join(low.LowContrasts(), " "); got != "text faint bad" {
		t.Errorf("the low contrasts are %q", got)
	}
}

// TestColorBlindSkinKeepsStatesApart simulates eyes without red or without green cones (Viénot 1999).
func TestColorBlindSkinKeepsStatesApart(t *testing.T) {
	t.Parallel()
	skins := shippedSkins(t)
	for name, m := range map[string][3][3]float64{
		"without red cones":   {{0.11238, 0.88762, 0}, {0.11238, 0.88762, 0}, {0.00401, -0.00401, 1}},
		"without green cones": {{0.29275, 0.70725, 0}, {0.29275, 0.70725, 0}, {-0.02234, 0.02234, 1}},
	} {
		s := skins[theme.ColorBlind]
		for _, pair := range [][2]string{{s.Good, s.Warn}, {s.Warn, s.Bad}, {s.Good, s.Bad}} {
			if d := distance(m, pair[0], pair[1]); d < 0.25 {
				t.Errorf("%s: %s and %s are %.2f apart", name, pair[0], pair[1], d)
			}
		}
		if d := distance(m, skins[theme.Light].Good, skins[theme.Light].Warn); d >= 0.25 {
			t.Errorf("%s: the light skin's states are %.2f apart, so this test cannot fail", name, d)
		}
	}
}

// distance is that of two colors as such eyes see them.
func distance(m [3][3]float64, a, b string) float64 {
	x, y := seen(m, lipgloss.Color(a)), seen(m, lipgloss.Color(b))
	return math.Sqrt((x[0]-y[0])*(x[0]-y[0]) + (x[1]-y[1])*(x[1]-y[1]) + (x[2]-y[2])*(x[2]-y[2]))
}

func seen(m [3][3]float64, c color.Color) (out [3]float64) {
	r, g, b, _ := c.RGBA()
	in := [3]float64{math.Pow(float64(r)/0xffff, 2.2), math.Pow(float64(g)/0xffff, 2.2), math.Pow(float64(b)/0xffff, 2.2)}
	for i, row := range m {
		v := row[0]*in[0] + row[1]*in[1] + row[2]*in[2]
		out[i] = math.Pow(max(0, min(1, v)), 1/2.2)
	}
	return out
}

func TestBadSkinsAreRefusedByLine(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("skins/dark.toml")
	if err != nil {
		t.Fatal(err)
	}
	for change, want := range map[[2]string]string{
		{`accent = "80"`, `accent = "blue"`}:    `mine.toml:6: accent is "blue", which is no color`,
		{`accent = "80"`, `accent = "256"`}:     `mine.toml:6: accent is "256", which is no color`,
		{`accent = "80"`, `accent = "#12345"`}:  `mine.toml:6: accent is "#12345", which is no color`,
		{`accent = "80"`, `acent = "80"`}:       `mine.toml:6: there is no setting "acent"`,
		{`accent = "80"`, ``}:                   `mine.toml:1: the skin mine has no color accent`,
		{`accent = "80"`, `accent = ["80"]`}:    `mine.toml:6: the value of "accent" is of the wrong kind`,
		{`names = ["80", `, `names = ["pink",`}: `mine.toml:10: names is "pink", which is no color`,
	} {
		text := strings.Replace(string(good), change[0], change[1], 1)
		_, err := theme.ParseSkin("mine", "mine.toml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || core.KindOf(err) != core.KindInvalid || core.AsError(err).Next == "" {
			t.Errorf("%v: %v, want %s", change, err, want)
		}
	}
}
