package tui

import (
	"slices"
	"strings"

	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// foot is the keys that work here now, unless something is typed or was just said.
func (m *Model) foot(s page.Scene) string {
	t := m.theme
	switch {
	case m.asking != nil && m.asking.only:
		return " " + m.keys([]page.Hint{{Key: "esc", Does: "close"}})
	case m.asking != nil && !m.asking.dialog.Armed():
		return " " + t.Paint(theme.Dim, "a question has opened   esc cancel")
	case m.asking != nil:
		return " " + m.keys([]page.Hint{{Key: "tab", Does: "next"}, {Key: "enter", Does: "choose"}, {Key: "esc", Does: "cancel"}})
	case m.prompt != nil:
		return m.prompt.View(t, m.w)
	case m.toast.text != "":
		return " " + t.Paint(m.toast.tone, widget.Cut(t, widget.Clean(m.toast.text), m.w-2))
	case m.running != nil:
		return " " + t.Paint(theme.Accent, m.awaited())
	case m.help != nil:
		return " " + m.keys([]page.Hint{{Key: "up down", Does: "scroll"}, {Key: "esc", Does: "close"}})
	}
	return " " + m.keys(m.hints(s))
}

func (m *Model) hints(s page.Scene) []page.Hint {
	p := m.page()
	hints := p.Hints(s)
	if p.Name() != "migrate" { // that page shows its actions itself, with the reasons
		for _, a := range m.actions {
			if a.Scope == p.Name() && a.Impossible(m.state(p.Selection(s))) == "" {
				hints = append(hints, page.Hint{Key: a.Key, Does: short(a)})
			}
		}
	}
	hold := "hold"
	if !m.paused.IsZero() {
		hold = "go on"
	}
	if does := m.escape(); does != "" && !slices.ContainsFunc(hints, func(h page.Hint) bool { return h.Key == "esc" }) {
		hints = append(hints, page.Hint{Key: "esc", Does: does})
	}
	return append(hints, page.Hint{Key: ":", Does: "command"}, page.Hint{Key: "/", Does: "filter"}, page.Hint{Key: "space", Does: hold}, page.Hint{Key: "?", Does: "help"})
}

// escape is what esc does where the page has nothing open: the next thing alone, as back does it.
func (m *Model) escape() string {
	if m.filters[m.at] != "" {
		return "clear /" + widget.Clean(m.filters[m.at])
	}
	if p, ok := m.page().(page.Marker); ok && p.Marked() > 0 {
		return "unmark"
	}
	return ""
}

func short(a action.Action) string {
	_, verb, _ := strings.Cut(a.Name, " ")
	return verb
}

// keys joins hints; on a narrow screen those before the last give way first.
func (m *Model) keys(hints []page.Hint) string {
	t := m.theme
	width := func(hs []page.Hint) int {
		n := 0
		for _, h := range hs {
			n += widget.Width(h.Key) + 1 + widget.Width(h.Does) + 3
		}
		return n
	}
	for len(hints) > 1 && width(hints) > m.w {
		hints = append(hints[:len(hints)-2:len(hints)-2], hints[len(hints)-1])
	}
	var parts []string
	for _, h := range hints {
		parts = append(parts, t.Paint(theme.Accent, h.Key)+" "+t.Paint(theme.Dim, h.Does))
	}
	return strings.Join(parts, "   ")
}
