package tui

import (
	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/widget"
)

// stateSavedMsg says why the console's state could not be saved.
type stateSavedMsg struct{ notice string }

// saveState writes what is remembered, outside of Update: the disk may hang.
func (m *Model) saveState() tea.Cmd {
	store := m.cfg.State
	if store == nil {
		return nil
	}
	return func() tea.Msg {
		if err := store.Save(); err != nil {
			return stateSavedMsg{Notice(err)}
		}
		return nil
	}
}

// Notice is an error as the sentence of a toast, with its next step.
func Notice(err error) string {
	e := core.AsError(err)
	text := widget.Sentence(e.Text)
	if e.Next != "" {
		text += " " + widget.Sentence(e.Next)
	}
	return text
}
