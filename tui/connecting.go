package tui

import (
	"strings"

	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// withFirstSteps adds what an operator can do while no node has answered yet to the lines that say why, as
// far as it fits.
func (m *Model) withFirstSteps(body string, rc page.RenderContext) string {
	if len(rc.Snapshot.Attempts) == 0 {
		return body
	}
	lines := trimBlank(strings.Split(body, "\n"))
	for _, section := range m.firstSteps(rc) {
		if len(lines)+len(section)+1 <= rc.Height {
			lines = append(append(lines, ""), section...)
		}
	}
	return rc.Fit(lines)
}

func (m *Model) firstSteps(rc page.RenderContext) [][]string {
	title := func(text string) string { return " " + rc.Paint(theme.Dim, text) }
	look := []string{title("WHERE TO LOOK")}
	for _, step := range [][2]string{
		{"on each machine", "`systemctl status unibusd`, and `journalctl -u unibusd -n 50` says why it ended"},
		{"between", "a firewall: the addresses above must be open from this machine"},
		{"here", "`unibus-tui config` prints what this console uses, and from which file"},
	} {
		look = append(look, labeledLines(rc, 15, step[0], step[1])...)
	}
	sections := [][]string{look}
	if m.cfg.Flags != "" {
		sections = append(sections, append([]string{title("THIS CONSOLE WAS STARTED WITH")}, rc.Paragraph(theme.Plain, m.cfg.Flags)...))
	}
	guides := []string{title("GUIDES: WHAT TO DO, STEP BY STEP")}
	for _, g := range guideList() {
		name, does, _ := strings.Cut(g, ": ")
		guides = append(guides, labeledLines(rc, 33, name, does)...)
	}
	return append(sections, guides)
}

// labeledLines are a word in width cells and what it means, wrapped beside it.
func labeledLines(rc page.RenderContext, width int, label, text string) (out []string) {
	lead := " " + rc.Paint(theme.Accent, widget.PadRight(label, width)) + "  "
	for _, l := range widget.Wrap(widget.Sanitize(text), max(20, rc.Width-width-4)) {
		out, lead = append(out, lead+rc.Paint(theme.Plain, l)), strings.Repeat(" ", width+3)
	}
	return out
}
