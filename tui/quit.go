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
	case m.openDialog == nil || !m.openDialog.asksToQuit:
		return m.showDialog(&dialogState{dialog: widget.NewDialog(widget.DialogSpec{
			Title: "Quit while " + m.running.name + " is running?", ConfirmLabel: "Quit",
			Lines: []string{m.waitingText(), "You will not see its answer. Requests that were not sent yet are dropped. The audit shows later what was done."},
		}), asksToQuit: true})
	case m.openDialog.dialog.AcceptsKeys():
		return tea.Quit
	}
	m.openDialog.keyCameTooEarly = true
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
