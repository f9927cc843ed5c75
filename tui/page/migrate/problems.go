package migrate

import (
	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func problemLines(rc page.RenderContext, st migrate.Status) []string {
	var lines []string
	if n := len(st.Problems); n > 0 {
		lines = listProblems(rc, rc.Paint(theme.Warn, widget.Plural(n, "problem", "problems")+" must be solved first:"), rc.Theme.Glyphs.Degraded, st.Problems)
	}
	if n := len(st.Notes); n > 0 {
		lines = append(lines, listProblems(rc, rc.Paint(theme.Dim, widget.Plural(n, "note", "notes")+" of preflight, which stop nothing:"), "-", st.Notes)...)
	}
	return lines
}

func listProblems(rc page.RenderContext, title, glyph string, all []core.Problem) []string {
	lines := []string{"", " " + title}
	for _, p := range all {
		lines = append(lines, glyphParagraph(rc, theme.Plain, glyph, p.TextWithRow())...)
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
