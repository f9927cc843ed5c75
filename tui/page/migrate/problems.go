package migrate

import (
	"strings"

	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func problems(s page.Scene, st migrate.Status) []string {
	if len(st.Problems) == 0 {
		return nil
	}
	lines := []string{"", " " + s.P(theme.Warn, widget.Plural(len(st.Problems), "thing has", "things have")+" to be mended before it can go on:")}
	for _, p := range st.Problems {
		text := p.Text
		if where := strings.TrimSpace(string(p.Table) + " " + p.Key); where != "" {
			text = where + ": " + text
		}
		lines = append(lines, indented(s, theme.Plain, s.Theme.Glyphs.Degraded, text)...)
		if p.Next != "" {
			lines = append(lines, indented(s, theme.Accent, " ", p.Next)...)
		}
	}
	return lines
}

// indented is a wrapped text behind a sign.
func indented(s page.Scene, t theme.Tone, sign, text string) []string {
	var out []string
	for _, l := range widget.Wrap(widget.Grouped(widget.Clean(text)), s.W-4) {
		out = append(out, " "+s.P(t, sign+" "+l))
		sign = " "
	}
	return out
}
