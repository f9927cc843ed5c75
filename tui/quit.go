package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/widget"
)

// quit ends the console. While an action runs it asks first; a second request
// after the dialog is armed quits.
func (m *Model) quit() tea.Cmd {
	switch {
	case m.running == nil:
		return tea.Quit
	case m.dialog == nil || !m.dialog.asksToQuit:
		return m.showDialog(&dialogState{dialog: widget.NewDialog(widget.DialogSpec{
			Title: "Leave while " + m.running.name + " is at work?", ConfirmLabel: "Leave",
			Lines: []string{m.waitingText(), "Its answer would not be seen. What the cluster was not asked for by then is not done; the audit says later what was."},
		}), asksToQuit: true})
	case m.dialog.dialog.Armed():
		return tea.Quit
	}
	m.dialog.keyBeforeArmed = true
	return nil
}

// waitingText names the running action and its progress.
func (m *Model) waitingText() string {
	text := "Waiting for the answer to " + m.running.name
	if m.running.total > 1 {
		text += fmt.Sprintf(": %d of %d so far", len(m.running.changed()), m.running.total)
	}
	return text + "."
}
