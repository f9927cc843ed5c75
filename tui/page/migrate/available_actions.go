package migrate

import (
	"slices"
	"strings"

	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// unavailableLines are the actions that are not available, grouped by the reason. The footer has the others.
func (m *Page) unavailableLines(rc page.RenderContext) []string {
	var reasons []string
	names := map[string][]string{} // by reason
	for _, a := range m.actions(rc) {
		reason := a.UnavailableReason(rc.UnselectedInput)
		if reason == "" {
			continue
		}
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], shortName(a))
	}
	var items []string
	for _, reason := range reasons {
		items = append(items, strings.Join(names[reason], ", ")+": "+reason)
	}
	return fillLines(rc, theme.Dim, items)
}

// unavailableNames are the same without the reasons; an action's key says its own.
func (m *Page) unavailableNames(rc page.RenderContext) []string {
	var names []string
	for _, a := range m.actions(rc) {
		if a.UnavailableReason(rc.UnselectedInput) != "" {
			names = append(names, shortName(a))
		}
	}
	if names == nil {
		return nil
	}
	return rc.Paragraph(theme.Dim, "not now: "+strings.Join(names, ", ")+"; a key says why")
}

func (m *Page) actions(rc page.RenderContext) (out []action.Action) {
	for _, a := range rc.Actions {
		if a.Scope == m.Name() {
			out = append(out, a)
		}
	}
	return out
}

func shortName(a action.Action) string { return strings.TrimPrefix(a.Name, "migrate ") }

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
