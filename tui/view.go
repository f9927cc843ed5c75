package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// frameLines are the lines that are not the page's: head, pages, two rules, foot.
const frameLines = 5

// View draws the console. What has not changed is not made again, and the
// renderer writes only what differs.
func (m *Model) View() tea.View {
	if m.dirty {
		m.drawn, m.dirty = m.draw(), false
	}
	v := tea.NewView(m.drawn)
	v.AltScreen = true
	v.WindowTitle = m.title()
	return v
}

func (m *Model) draw() string {
	switch {
	case m.w <= 0 || m.h <= 0:
		return ""
	case m.cramped():
		lines := []string{widget.Cut(m.theme, " "+m.name()+"  "+m.verdict(), m.w)}
		for _, text := range m.small() {
			lines = append(lines, widget.Wrap(widget.Clean(text), m.w)...)
		}
		return widget.Fit(m.theme, strings.Join(lines, "\n"), m.w, m.h)
	}
	s := m.scene()
	body := ""
	if m.help != nil {
		body = m.helpView(s.W, s.H)
	} else {
		body = widget.Fit(m.theme, m.page().View(s), s.W, s.H)
	}
	rule := widget.Rule(m.theme, m.w)
	screen := strings.Join([]string{m.head(), m.tabs(), rule, body, rule, m.foot(s)}, "\n")
	if m.asking != nil {
		screen = widget.Over(screen, m.asking.dialog.View(m.theme, m.w, m.h-2), m.w, m.h)
	}
	return screen
}

// tabs is the line of pages. Where there is no room for all names, the last ones
// are digits alone, never the current one.
func (m *Model) tabs() string {
	labels, width := make([]string, len(m.pages)), 0
	for i, p := range m.pages {
		labels[i] = fmt.Sprintf(" %d %s ", i+1, p.Name())
		width += len(labels[i])
	}
	for i := len(labels) - 1; i >= 0 && width > m.w; i-- {
		if i != m.at {
			short := fmt.Sprintf(" %d ", i+1)
			width -= len(labels[i]) - len(short)
			labels[i] = short
		}
	}
	line := ""
	for i, label := range labels {
		if i == m.at {
			line += m.theme.Select.Render(label)
			continue
		}
		line += m.theme.Paint(theme.Dim, label)
	}
	return widget.Cut(m.theme, line, m.w)
}

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
