package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/action"
	"unibus/tui/theme"
)

// noteUndo remembers how the action that has ended can be taken back, and returns how to say it; "" where
// nothing was done, or nothing takes it back.
func (m *Model) noteUndo(d actionDoneMsg) string {
	if d.action.Undo == nil || d.err != nil && len(d.done.Changed) == 0 {
		return ""
	}
	u, ok := d.action.Undo(d.done)
	if !ok {
		return ""
	}
	m.undo = &u
	return "z " + u.Does + "."
}

// undoLast asks for the action that takes the last one back.
func (m *Model) undoLast() tea.Cmd {
	if m.undo == nil {
		m.showToast(theme.Dim, "Nothing was done here that could be undone. Page 9 lists what all operators did, and repeats it.")
		return nil
	}
	i := slices.IndexFunc(m.actions, func(a action.Action) bool { return a.Name == m.undo.Action })
	if i < 0 || m.refuseSecondAction() {
		return nil
	}
	m.resume()
	s := m.actionInput(m.undo.Selected)
	s.Users, s.Preset = m.undo.Users, m.undo.Values
	return m.startActionOn(m.actions[i], s)
}
