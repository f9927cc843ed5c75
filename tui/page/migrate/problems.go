package migrate

import (
	"strings"

	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func problemLines(rc page.RenderContext, st migrate.Status) []string {
	if len(st.Problems) == 0 {
		return nil
	}
	lines := []string{"", " " + rc.Paint(theme.Warn, widget.Plural(len(st.Problems), "problem", "problems")+" must be solved first:")}
	for _, p := range st.Problems {
		text := p.Text
		if location := strings.TrimSpace(string(p.Table) + " " + p.Key); location != "" {
			text = location + ": " + text
		}
		lines = append(lines, glyphParagraph(rc, theme.Plain, rc.Theme.Glyphs.Degraded, text)...)
		if p.Next != "" {
			lines = append(lines, glyphParagraph(rc, theme.Accent, " ", p.Next)...)
		}
	}
	return lines
}

// glyphParagraph is wrapped text after a glyph.
func glyphParagraph(rc page.RenderContext, t theme.Tone, glyph, text string) []string {
	var out []string
	for _, l := range widget.Wrap(widget.GroupCounts(widget.Sanitize(text)), rc.Width-4) {
		out = append(out, " "+rc.Paint(t, glyph+" "+l))
		glyph = " "
	}
	return out
}
