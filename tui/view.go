package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/theme"
	"unibus/tui/widget"
)

// linesAroundPage counts the lines around the page: header, tabs, two rules, footer.
const linesAroundPage = 5

// View draws the console. An unchanged screen is not built again, and the
// renderer writes only differences.
func (m *Model) View() tea.View {
	if m.dirty {
		m.lastScreen, m.dirty = m.draw(), false
	}
	v := tea.NewView(m.lastScreen)
	v.AltScreen = true
	v.WindowTitle = m.windowTitle()
	return v
}

func (m *Model) draw() string {
	switch {
	case m.width <= 0 || m.height <= 0:
		return ""
	case m.windowTooSmall():
		lines := []string{widget.Truncate(m.theme, " "+m.styledClusterName()+"  "+m.verdictText(), m.width)}
		for _, text := range m.smallWindowLines() {
			lines = append(lines, widget.Wrap(widget.Sanitize(text), m.width)...)
		}
		return widget.Fit(m.theme, strings.Join(lines, "\n"), m.width, m.height)
	}
	rc := m.renderContext()
	body := ""
	if m.help != nil {
		body = m.helpView(rc.Width, rc.Height)
	} else {
		body = widget.Fit(m.theme, m.currentPage().View(rc), rc.Width, rc.Height)
	}
	rule := widget.HorizontalRule(m.theme, m.width)
	screen := strings.Join([]string{m.header(), m.pageTabs(), rule, body, rule, m.footer(rc)}, "\n")
	if m.openDialog != nil {
		screen = widget.Overlay(screen, m.openDialog.dialog.View(m.theme, m.width, m.height-2), m.width, m.height)
	}
	return screen
}

// pageTabs is the line of page names. In a narrow window the last ones are digits
// only, never the current one.
func (m *Model) pageTabs() string {
	labels, width := make([]string, len(m.pages)), 0
	for i, p := range m.pages {
		labels[i] = fmt.Sprintf(" %d %s ", i+1, p.Name())
		width += len(labels[i])
	}
	for i := len(labels) - 1; i >= 0 && width > m.width; i-- {
		if i != m.pageIndex {
			short := fmt.Sprintf(" %d ", i+1)
			width -= len(labels[i]) - len(short)
			labels[i] = short
		}
	}
	line := ""
	for i, label := range labels {
		if i == m.pageIndex {
			line += m.theme.SelectedRow.Render(label)
			continue
		}
		line += m.theme.Paint(theme.Dim, label)
	}
	return widget.Truncate(m.theme, line, m.width)
}
