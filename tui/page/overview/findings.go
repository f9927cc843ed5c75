package overview

import (
	"strings"

	"unibus/core/cluster"
	"unibus/core/guide"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// findingLines are the findings that the sentence omits, as many as fit.
func findingLines(rc page.RenderContext, h int) []string {
	st := rc.Snapshot.Status.Value
	var fs []cluster.Finding
	for _, f := range st.Findings {
		if !strings.Contains(st.Sentence, f.Text) {
			fs = append(fs, f)
		}
	}
	if len(fs) == 0 || h < 1 {
		return nil
	}
	more := func(n int) string {
		return "   " + rc.Paint(theme.Dim, widget.Plural(n, "more finding", "more findings")+": f lists them")
	}
	if h < 3 {
		return []string{more(len(fs))}
	}
	out := []string{"", " " + rc.Paint(theme.Dim, "FINDINGS")}
	for i, f := range fs {
		next := f.Next
		if next == st.Do {
			next = ""
		}
		lines := findingParagraph(rc, f, next)
		need := len(lines)
		if i+1 < len(fs) {
			need++ // for the line that counts the others
		}
		if h-len(out) < need {
			return append(out, more(len(fs)-i))
		}
		out = append(out, lines...)
	}
	return out
}

// findingParagraph is one finding and its next step.
func findingParagraph(rc page.RenderContext, f cluster.Finding, next string) []string {
	g, tone := rc.Theme.Level(f.Level)
	text := f.Text
	if next != "" {
		text += " Do: " + next
	}
	var out []string
	for i, l := range widget.Wrap(widget.GroupCounts(widget.Sanitize(text)), rc.Width-5) {
		lead := " "
		if i == 0 {
			lead = rc.Paint(tone, g)
		}
		out = append(out, " "+lead+" "+rc.Paint(theme.Plain, l))
	}
	return out
}

// allFindings lists every finding with its next step.
func (m *Page) allFindings(rc page.RenderContext) string {
	lines := append(verdictLines(rc), "", " "+rc.Paint(theme.Dim, "FINDINGS"))
	fs := rc.Snapshot.Status.Value.Findings
	if len(fs) == 0 {
		lines = append(lines, rc.Paragraph(theme.Plain, "There are no findings any more. Esc goes back.")...)
	}
	for _, f := range fs {
		lines = append(lines, rc.DimIfStale(findingParagraph(rc, f, f.Next))...)
	}
	return rc.Fit(m.findingsScroll.VisibleLines(rc.Theme, lines, rc.Height))
}

// guideNamed is the guide of the worst finding whose next step names one, with its
// arguments; nil without one.
func guideNamed(rc page.RenderContext) []string {
	for _, f := range rc.Snapshot.Status.Value.Findings {
		if words := guide.NamedIn(f.Next); words != nil {
			return words
		}
	}
	return nil
}
