package tui

import (
	"fmt"
	"slices"
	"strings"

	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/page/buckets"
	"unibus/tui/page/events"
	"unibus/tui/page/nodes"
	"unibus/tui/page/overview"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

const (
	// sideBySideWidth is the width from which other pages are beside the one that has the keys.
	sideBySideWidth = 180
	// sideWidth is the width of those.
	sideWidth = 84
	// tallPage is the height of a page from which other pages are below a short one.
	tallPage = 30
	// leastBelow is the least height of the pages below a short one: the verdict, and each of three nodes.
	leastBelow = 14
	// leastPanel is the least height that shows something of a page, its title included.
	leastPanel = 8
)

const sideGap = " │ "

// panel is a page that is looked at only, beside or below the one that has the keys. It shows what the
// feed always polls.
type panel struct {
	digit int
	page  page.Page
}

// newPanels returns the pages that can be panels, in the order in which they are shown.
func newPanels() []panel {
	o, n, b, e := overview.New(), nodes.New(), buckets.New(), events.New()
	for _, t := range []*widget.Table{o.Table, n.Table, b.Table, e.Table} {
		t.HidesCursor = true
	}
	return []panel{{1, o}, {2, n}, {3, b}, {7, e}}
}

// pageWidth is the width of the page that has the keys.
func (m *Model) pageWidth() int {
	if m.showsSide() {
		return m.width - sideWidth - widget.Width(sideGap)
	}
	return m.width
}

func (m *Model) showsSide() bool {
	return m.width >= sideBySideWidth && m.snapshot.Status.Known() && m.help == nil
}

// withPanels fills the lines that a page leaves with other pages.
func (m *Model) withPanels(body string, rc page.RenderContext) string {
	if !rc.Snapshot.Status.Known() {
		return m.withFirstSteps(body, rc)
	}
	panels := slices.DeleteFunc(slices.Clone(m.panels), func(p panel) bool {
		return m.guide == nil && p.page.Name() == m.currentPage().Name()
	})
	lines := trimBlank(strings.Split(body, "\n"))
	if !m.showsSide() {
		if rc.Height >= tallPage && rc.Height-len(lines)-1 >= leastBelow {
			rc.HasVerdict = len(m.alertLines()) > 0
			panels = slices.DeleteFunc(panels, m.repeatsNodes)
			lines = append(append(lines, ""), panelColumn(rc, panels, rc.Height-len(lines)-1)...)
		}
		return rc.Fit(lines)
	}
	side := rc
	side.Width = sideWidth
	right := panelColumn(side, panels, rc.Height)
	for i := range rc.Height {
		l, r := "", ""
		if i < len(lines) {
			l = lines[i]
		}
		if i < len(right) {
			r = right[i]
		}
		row := widget.PadRight(l, rc.Width) + m.theme.Paint(theme.Faint, m.sideRule()) + r
		if i < len(lines) {
			lines[i] = row
		} else {
			lines = append(lines, row)
		}
	}
	return widget.Fit(m.theme, strings.Join(lines, "\n"), m.width, rc.Height)
}

// repeatsNodes is true of a panel whose rows of nodes the current page has above it.
func (m *Model) repeatsNodes(p panel) bool {
	listsNodes := []action.PageName{action.PageOverview, action.PageNodes}
	return m.guide == nil && slices.Contains(listsNodes, p.page.Name()) && slices.Contains(listsNodes, m.currentPage().Name())
}

func (m *Model) sideRule() string {
	if m.theme.Glyphs.Rule == "-" {
		return " | "
	}
	return sideGap
}

// panelColumn draws pages below each other, as many as h lines have room for.
func panelColumn(rc page.RenderContext, panels []panel, h int) (out []string) {
	rc.Filter, rc.IsPanel = "", true
	for _, p := range panels {
		left := h - len(out)
		if left < leastPanel {
			break
		}
		title := fmt.Sprintf(" %d %s ", p.digit, p.page.Name())
		rule := strings.Repeat(rc.Theme.Glyphs.Rule, max(0, rc.Width-widget.Width(title)-1))
		rc.Height = left - 2
		lines := trimBlank(strings.Split(p.page.View(rc), "\n"))
		out = append(out, rc.Paint(theme.Dim, title)+rc.Paint(theme.Faint, rule))
		out = append(append(out, lines...), "")
	}
	return out
}

// trimBlank drops the blank lines at the end.
func trimBlank(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
