package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/widget"
)

// leave quits. While an action is at work it asks first; asked again while that
// question can be answered, it quits all the same.
func (m *Model) leave() tea.Cmd {
	switch {
	case m.running == nil:
		return tea.Quit
	case m.asking == nil || !m.asking.leave:
		return m.open(&asking{dialog: widget.NewDialog(widget.Ask{
			Title: "Leave while " + m.running.name + " is at work?", Confirm: "Leave",
			Lines: []string{m.awaited(), "Its answer would not be seen. What the cluster was not asked for by then is not done; the audit says later what was."},
		}), leave: true})
	case m.asking.dialog.Armed():
		return tea.Quit
	}
	m.asking.early = true
	return nil
}

// awaited says what is waited for, and how much of it is done.
func (m *Model) awaited() string {
	text := "Waiting for the answer to " + m.running.name
	if m.running.of > 1 {
		text += fmt.Sprintf(": %d of %d so far", len(m.running.done()), m.running.of)
	}
	return text + "."
}
