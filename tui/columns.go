package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/page"
	"unibus/tui/statefile"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// columnChooser is the choice of the columns of the table in view.
type columnChooser struct {
	name   string // in the state file: users, rooms/members
	table  *widget.Table
	titles []string
	shown  []bool
	cursor int
}

// tableName is the name of a page's table in the state file.
func tableName(p page.Page, t page.NamedTable) string {
	if t.Name == "" {
		return string(p.Name())
	}
	return string(p.Name()) + "/" + t.Name
}

// showRememberedColumns hides what the operator has hidden in an earlier session.
func (m *Model) showRememberedColumns() {
	remembered := m.cfg.State.State().Columns
	for _, p := range m.pages {
		if owner, ok := p.(page.TableOwner); ok {
			for _, t := range owner.Tables() {
				t.Table.ShowOnly(remembered[tableName(p, t)])
			}
		}
	}
}

// chooseColumns opens the choice for the table that the page shows.
func (m *Model) chooseColumns() {
	p := m.currentPage()
	if owner, ok := p.(page.TableOwner); ok && m.guide == nil {
		for _, t := range owner.Tables() {
			if t.IsShown {
				m.columns = newColumnChooser(tableName(p, t), t.Table)
				return
			}
		}
	}
	m.showToast(theme.Dim, "There is no list here whose columns could be chosen.")
}

func newColumnChooser(name string, t *widget.Table) *columnChooser {
	c := &columnChooser{name: name, table: t, titles: t.Columns()}
	for _, title := range c.titles {
		c.shown = append(c.shown, slices.Contains(t.ShownColumns(), title))
	}
	return c
}

func columnHints() []page.KeyHint {
	return []page.KeyHint{{Key: "space", Does: "show or hide"}, {Key: "a", Does: "show all"}, {Key: "enter", Does: "keep"}, {Key: "esc", Does: "leave as it was"}}
}

func (m *Model) handleColumnKey(key string) tea.Cmd {
	c := m.columns
	switch key {
	case "esc", "q":
		m.columns = nil
	case "enter":
		m.columns = nil
		c.table.ShowOnly(c.chosen())
		m.cfg.State.Change(func(s *statefile.State) { s.SetColumns(c.name, c.chosen()) })
		return m.saveState()
	case "space":
		c.shown[c.cursor] = c.cursor == 0 || !c.shown[c.cursor]
	case "a":
		for i := range c.shown {
			c.shown[i] = true
		}
	case "up", "k":
		c.cursor = max(0, c.cursor-1)
	case "down", "j":
		c.cursor = min(len(c.titles)-1, c.cursor+1)
	}
	return nil
}

// chosen are the titles of the shown columns, nil for all: columns that a later build adds are shown then.
func (c *columnChooser) chosen() []string {
	if !slices.Contains(c.shown, false) {
		return nil
	}
	out := []string{}
	for i, title := range c.titles {
		if c.shown[i] {
			out = append(out, title)
		}
	}
	return out
}

func (m *Model) columnLines() []string {
	t, c := m.theme, m.columns
	lines := []string{" " + t.Paint(theme.Strong, "Columns of "+c.name), ""}
	for i, title := range c.titles {
		box, lead := "[ ] ", "   "
		if c.shown[i] {
			box = "[x] "
		}
		text := box + widget.PadRight(title, 12)
		if i == 0 {
			text += " always shown"
		}
		if i == c.cursor {
			lines = append(lines, " "+t.SelectedRow.Render(t.Glyphs.Cursor+" "+text+" "))
			continue
		}
		lines = append(lines, lead+t.Paint(theme.Plain, text))
	}
	lines = append(lines, "")
	for _, l := range widget.Wrap("In a narrow window the last columns are left out first, whether they are chosen or not.", m.width-2) {
		lines = append(lines, " "+t.Paint(theme.Dim, l))
	}
	return lines
}
