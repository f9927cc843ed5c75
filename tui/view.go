package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

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
