package migrate

import (
	"slices"
	"strings"

	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// buttons are the actions of the page: what is possible now, then what is not
// and why, those with the same reason together. Nothing of it is cut off.
func (m *Model) buttons(s page.Scene) []string {
	var can []string
	var reasons []string
	names := map[string][]string{} // by reason
	for _, a := range action.Table() {
		if a.Scope != m.Name() {
			continue
		}
		name := strings.TrimPrefix(a.Name, "migrate ")
		why := a.Impossible(s.State)
		switch {
		case why == "":
			can = append(can, s.P(theme.Accent, a.Key)+" "+name)
			continue
		case names[why] == nil:
			reasons = append(reasons, why)
		}
		names[why] = append(names[why], name)
	}
	var cannot []string
	for _, why := range reasons {
		cannot = append(cannot, strings.Join(names[why], ", ")+": "+why)
	}
	lines := flow(s, theme.Plain, can)
	return append(lines, flow(s, theme.Dim, cannot)...)
}

// flow puts items behind each other, each on the first line that has room for
// it; one that is longer than a line is wrapped at its words.
func flow(s page.Scene, tone theme.Tone, items []string) []string {
	const gap = "   "
	var out []string
	for _, item := range items {
		if widget.Width(item) > s.W-2 {
			out = append(out, widget.Wrap(item, s.W-2)...)
			continue
		}
		i := slices.IndexFunc(out, func(l string) bool { return widget.Width(l+gap+item) <= s.W-2 })
		if i < 0 {
			out = append(out, item)
			continue
		}
		out[i] += gap + item
	}
	for i := range out {
		out[i] = " " + s.P(tone, out[i])
	}
	return out
}
