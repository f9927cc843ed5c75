package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// linesAroundPage counts the lines around the page: header, tabs, two rules, footer.
const linesAroundPage = 5

// View draws the console. An unchanged screen is not built again, and the
// renderer writes only differences.
func (m *Model) View() tea.View {
	if m.dirty {
		m.lastScreen, m.dirty = m.showable(m.draw()), false
	}
	v := tea.NewView(m.lastScreen)
	v.AltScreen = true
	v.MouseMode = m.mouseMode()
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
	body := m.drawBody(rc)
	footer := m.footer(rc) // after the body: a page knows its keys once it is drawn
	if n := min(len(footer), rc.Height); n > 1 {
		footer, rc.Height = footer[:n], rc.Height-n+1
		body = m.drawBody(rc)
	}
	rule := widget.HorizontalRule(m.theme, m.width)
	screen := strings.Join([]string{m.header(), m.pageTabs(), rule, m.withAlert(body), rule, strings.Join(footer, "\n")}, "\n")
	if m.openDialog != nil {
		screen = widget.Overlay(screen, m.openDialog.dialog.View(m.theme, m.width, m.height-2), m.width, m.height)
	}
	return screen
}

func (m *Model) drawBody(rc page.RenderContext) string {
	switch {
	case m.help != nil:
		return m.helpView(rc.Width, rc.Height)
	case m.columns != nil:
		return widget.Fit(m.theme, strings.Join(m.columnLines(), "\n"), rc.Width, rc.Height)
	case m.clusters != nil:
		return m.clustersView(rc.Width, rc.Height)
	case m.guide != nil:
		return m.withPanels(m.guide.view(rc), rc)
	}
	return m.withPanels(widget.Fit(m.theme, m.currentPage().View(rc), rc.Width, rc.Height), rc)
}

// pageTabs is the line of page names. In a narrow window they have one blank between them, and the
// current one, which is marked, has no digit. In one that is narrower the last ones are digits only.
func (m *Model) pageTabs() string { return m.drawTabs(m.shownTabs()) }

func (m *Model) shownTabs() []string {
	labels, width := m.tabLabels(false)
	if width > m.width {
		labels, width = m.tabLabels(true)
	}
	for i := len(labels) - 1; i >= 0 && width > m.width; i-- {
		if i != m.pageIndex {
			short := fmt.Sprintf(" %d", i+1)
			width -= len(labels[i]) - len(short)
			labels[i] = short
		}
	}
	return labels
}

func (m *Model) tabLabels(narrow bool) (labels []string, width int) {
	for i, p := range m.pages {
		label := fmt.Sprintf(" %d %s", i+1, p.Name())
		switch {
		case !narrow:
			label += " "
		case i == m.pageIndex:
			label = fmt.Sprintf(" %s", p.Name())
		}
		labels, width = append(labels, label), width+len(label)
	}
	return labels, width
}

func (m *Model) drawTabs(labels []string) string {
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
