package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/keymap"
	"unibus/tui/page"
	"unibus/tui/statefile"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// columnChooser is the choice of the columns of the table in view, and of their order.
type columnChooser struct {
	name    string // in the state file: users, rooms/members
	table   *widget.Table
	columns []chosenColumn // from left to right
	cursor  int
}

type chosenColumn struct {
	title string
	shown bool
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

// newColumnChooser has the shown columns first, as they are on the screen, and then the hidden ones.
func newColumnChooser(name string, t *widget.Table) *columnChooser {
	c := &columnChooser{name: name, table: t}
	for _, title := range t.ShownColumns() {
		c.columns = append(c.columns, chosenColumn{title, true})
	}
	for _, title := range t.Columns() {
		if !slices.Contains(t.ShownColumns(), title) {
			c.columns = append(c.columns, chosenColumn{title, false})
		}
	}
	return c
}

func columnHints() []page.KeyHint {
	return []page.KeyHint{{Key: "space", Does: "show or hide"}, {Key: "J K", Does: "move"}, {Key: "a", Does: "all as they were"}, {Key: "enter", Does: "keep"}, {Key: "esc", Does: "cancel"}}
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
		c.columns[c.cursor].shown = c.cursor == 0 || !c.columns[c.cursor].shown
	case "a":
		c.columns = nil
		for _, title := range c.table.Columns() {
			c.columns = append(c.columns, chosenColumn{title, true})
		}
	case "K", "shift+up":
		c.move(-1)
	case "J", "shift+down":
		c.move(1)
	case "up", "k":
		c.cursor = max(0, c.cursor-1)
	case "down", "j":
		c.cursor = min(len(c.columns)-1, c.cursor+1)
	}
	return nil
}

// move swaps the column with its neighbor. The first one stays: it says what a row is about.
func (c *columnChooser) move(by int) {
	to := c.cursor + by
	if c.cursor == 0 || to < 1 || to >= len(c.columns) {
		return
	}
	c.columns[c.cursor], c.columns[to] = c.columns[to], c.columns[c.cursor]
	c.cursor = to
}

// chosen are the titles of the shown columns, nil for all of them as the page has them: columns that a later
// build adds are shown then.
func (c *columnChooser) chosen() []string {
	out := []string{}
	for _, column := range c.columns {
		if column.shown {
			out = append(out, column.title)
		}
	}
	if slices.Equal(out, c.table.Columns()) {
		return nil
	}
	return out
}

func (m *Model) columnLines() []string {
	t, c := m.theme, m.columns
	lines := []string{" " + t.Paint(theme.Strong, "Columns of "+c.name), ""}
	for i, column := range c.columns {
		box, lead := "[ ] ", "   "
		if column.shown {
			box = "[x] "
		}
		text := box + widget.PadRight(column.title, 12)
		if i == 0 {
			text += " always shown, and first"
		}
		if i == c.cursor {
			lines = append(lines, " "+t.SelectedRow.Render(t.Glyphs.Cursor+" "+text+" "))
			continue
		}
		lines = append(lines, lead+t.Paint(theme.Plain, text))
	}
	lines = append(lines, "")
	for _, l := range widget.Wrap("The list has them from left to right in this order; "+m.keys.Shown(keymap.Columns, "J")+" and "+m.keys.Shown(keymap.Columns, "K")+" move the selected one. In a narrow window the last ones are left out first, whether they are chosen or not.", m.width-2) {
		lines = append(lines, " "+t.Paint(theme.Dim, l))
	}
	return lines
}
