package migrate

import (
	"slices"
	"strings"

	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// actionLines list the available actions, then the unavailable ones grouped by
// reason. None of it is cut off.
func (m *Page) actionLines(rc page.RenderContext) []string {
	var available []string
	var reasons []string
	names := map[string][]string{} // by reason
	for _, a := range rc.Actions {
		if a.Scope != m.Name() {
			continue
		}
		name := strings.TrimPrefix(a.Name, "migrate ")
		reason := a.UnavailableReason(rc.UnselectedInput)
		switch {
		case reason == "":
			available = append(available, rc.Paint(theme.Accent, a.Key)+" "+name)
			continue
		case names[reason] == nil:
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], name)
	}
	var unavailable []string
	for _, reason := range reasons {
		unavailable = append(unavailable, strings.Join(names[reason], ", ")+": "+reason)
	}
	lines := fillLines(rc, theme.Plain, available)
	return append(lines, fillLines(rc, theme.Dim, unavailable)...)
}

// fillLines puts each item on the first line with space for it, and wraps longer
// items.
func fillLines(rc page.RenderContext, tone theme.Tone, items []string) []string {
	const gap = "   "
	var out []string
	for _, item := range items {
		if widget.Width(item) > rc.Width-2 {
			out = append(out, widget.Wrap(item, rc.Width-2)...)
			continue
		}
		i := slices.IndexFunc(out, func(l string) bool { return widget.Width(l+gap+item) <= rc.Width-2 })
		if i < 0 {
			out = append(out, item)
			continue
		}
		out[i] += gap + item
	}
	for i := range out {
		out[i] = " " + rc.Paint(tone, out[i])
	}
	return out
}
