package tui

import (
	"strings"

	"unibus/tui/action"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// help is the overlay that lists all keys and actions.
type help struct{ scroll widget.Scroll }

// handleKey scrolls. It returns false when the key closes the help.
func (h *help) handleKey(key string) bool {
	switch key {
	case "esc", "?", "q", "enter":
		return false
	case "space":
		key = "pgdown"
	}
	h.scroll.HandleKey(key)
	return true
}

func (m *Model) helpView(w, h int) string {
	return widget.Fit(m.theme, strings.Join(m.help.scroll.VisibleLines(m.theme, m.helpLines(w), h), "\n"), w, h)
}

func (m *Model) helpLines(w int) []string {
	t := m.theme
	head := func(s string) string { return " " + t.Paint(theme.Strong, s) }
	row := func(key, does string) string {
		key = m.keyName(key)
		return "   " + t.Paint(theme.Accent, widget.PadRight(key, 12)) + " " + t.Paint(theme.Plain, does)
	}
	lines := []string{
		head("Everywhere"),
		row("1 to 9, Tab", "pages"), row(":", "commands; Tab completes, up and down recall earlier ones"),
		row("/", "filter: ana in any case and with accents, !ana the others,"),
		row("", "~an letters in order, role:admin a column, r/^a a pattern"),
		row("up down j k", "move or scroll; PgUp PgDn Home End too"),
		row("enter  esc", "open; back"), row("s  S", "sort by the next column; reverse the order"),
		row("m  M", "on the users page: mark a user; mark all listed, or none"), row("y", "copy the id, by OSC 52 (tmux: set-clipboard on); again: the row,"),
		row("", "the command, the report; in a question ctrl+y: the command"),
		row("C", "choose the columns of a list; they are remembered"),
		row("z", "take the last action back, where that is possible; it asks first"),
		row("x", "export the whole filtered list as CSV or JSON; :export FILE"),
		row("space", "pause or resume the screen (:pause-screen), not the cluster"), row("B", "turn the bell off or on; it rings when the verdict becomes worse"), row("q", "back; quit if nothing is open or marked (migrations continue)"), "",
		head("Commands") + t.Paint(theme.Dim, "   type them after :"),
		row("PAGE", "open a page by its name, or by the beginning of it"),
	}
	name := "theme NAME"
	for _, l := range widget.Wrap("colors: "+theme.NamesOf(m.themes()), w-17) {
		lines, name = append(lines, row(name, l)), ""
	}
	lines = append(
		lines,
		row("mouse", "take clicks and the wheel, or not; Shift then selects text"),
		row("context", "other clusters, with their verdicts; enter switches"),
		row("guide NAME", "a checklist for when something is broken; :guide lists them"),
		row("help  quit", "this list; end the console"), "",
		head("Actions")+t.Paint(theme.Dim, "   type the name after : or press the key on its page"),
	)
	for _, a := range m.actions {
		lines = append(lines, m.helpActionLines(a, w)...)
	}
	lines = append(lines, "", head("Symbols"), m.glyphLegend(), "")
	for _, l := range widget.Wrap("Dangerous actions ask first and show the equivalent command. The audit records every change. This is unibus "+m.cfg.Version+".", w-3) {
		lines = append(lines, "   "+t.Paint(theme.Dim, l))
	}
	return lines
}

// helpActionLines describe an action: its help text, and why it is unavailable
// now.
func (m *Model) helpActionLines(act action.Action, w int) []string {
	t := m.theme
	name := act.Name
	if act.ArgumentKind != "" {
		name += " [" + strings.ToUpper(act.ArgumentKind) + "]"
	}
	head := "   " + t.Paint(theme.Accent, widget.PadRight(name, 25)) + " " + t.Paint(theme.Dim, widget.PadRight(string(act.Scope)+" "+act.Key, 11)) + " "
	width, indent := w-widget.Width(head), widget.PadRight("", widget.Width(head))
	reason := widget.Sanitize(act.UnavailableReason(m.actionInput(m.currentPage().Selection(m.renderContext()))))
	if act.NeedsSelection(reason) {
		reason = ""
	}
	if reason != "" && widget.Width(act.Help)+widget.Width("; not now: "+reason) <= width {
		return []string{head + t.Paint(theme.Plain, act.Help) + t.Paint(theme.Dim, "; not now: "+reason)}
	}
	var lines []string
	for _, l := range widget.Wrap(act.Help, width) {
		lines = append(lines, indent+t.Paint(theme.Plain, l))
	}
	lines[0] = head + strings.TrimPrefix(lines[0], indent)
	if reason != "" {
		for _, l := range widget.Wrap("not now: "+reason, width) {
			lines = append(lines, indent+t.Paint(theme.Dim, l))
		}
	}
	return lines
}

func (m *Model) glyphLegend() string {
	g, t := m.theme.Glyphs, m.theme
	return "   " + t.Paint(theme.Good, g.Healthy+" healthy") + "   " + t.Paint(theme.Warn, g.Degraded+" degraded") + "   " +
		t.Paint(theme.Bad, g.Critical+" critical") + "   " + t.Paint(theme.Dim, g.Absent+" down   "+g.Unknown+" not known")
}
