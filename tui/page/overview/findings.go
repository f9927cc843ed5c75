package overview

import (
	"strings"

	"unibus/core/cluster"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// below is what is wrong beyond the sentence, then what happened last, in h lines.
func below(s page.Scene, h int) []string {
	out := s.Faded(findings(s, h))
	return append(out, recent(s, h-len(out))...)
}

// findings are those that the sentence does not say already, as many as there is room for.
func findings(s page.Scene, h int) []string {
	st := s.Snap.Status.Value
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
		return "   " + s.P(theme.Dim, widget.Plural(n, "more finding", "more findings")+": f lists them")
	}
	if h < 3 {
		return []string{more(len(fs))}
	}
	out := []string{"", " " + s.P(theme.Dim, "FINDINGS")}
	for i, f := range fs {
		next := f.Next
		if next == st.Do {
			next = ""
		}
		lines := finding(s, f, next)
		need := len(lines)
		if i+1 < len(fs) {
			need++ // for the line about the others
		}
		if h-len(out) < need {
			return append(out, more(len(fs)-i))
		}
		out = append(out, lines...)
	}
	return out
}

// finding is one of them and what to do about it.
func finding(s page.Scene, f cluster.Finding, next string) []string {
	g, tone := s.Theme.Level(f.Level)
	var out []string
	for i, l := range widget.Wrap(widget.Grouped(widget.Clean(strings.TrimSpace(f.Text+" "+next))), s.W-5) {
		lead := " "
		if i == 0 {
			lead = s.P(tone, g)
		}
		out = append(out, " "+lead+" "+s.P(theme.Plain, l))
	}
	return out
}

// findings is every finding, with what to do about each.
func (m *Model) findings(s page.Scene) string {
	lines := append(s.Stale(s.Snap.Status.Freshness, page.Fresh), " "+s.P(theme.Dim, "FINDINGS"))
	fs := s.Snap.Status.Value.Findings
	if len(fs) == 0 {
		lines = append(lines, s.Prose(theme.Plain, "None any more. Esc goes back.")...)
	}
	for _, f := range fs {
		lines = append(lines, s.Faded(finding(s, f, f.Next))...)
	}
	return s.Keep(m.list.Lines(s.Theme, lines, s.H))
}
