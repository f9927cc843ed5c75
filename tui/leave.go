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

// cramped is true where the window has no room for the pages, nor for a dialog.
func (m *Model) cramped() bool { return m.w < MinWidth || m.h < MinHeight }

// unseen takes a key where nothing that it could do would be seen.
func (m *Model) unseen(key string) tea.Cmd {
	switch key {
	case "q":
		return m.leave()
	case "esc":
		m.asking = nil
	}
	return nil
}

// small is what is shown where there is no room: the verdict all the same.
func (m *Model) small() []string {
	lines := []string{fmt.Sprintf("This console needs %d x %d; the window is %d x %d. q quits.", MinWidth, MinHeight, m.w, m.h)}
	switch {
	case m.asking != nil && m.asking.leave:
		lines = append(lines, m.awaited(), "q quits all the same, esc stays.")
	case m.asking != nil && m.asking.only:
		lines = append(lines, "A message is open: esc closes it.")
	case m.asking != nil:
		lines = append(lines, "A question is open: esc cancels it.")
	case m.running != nil:
		lines = append(lines, m.awaited())
	}
	return append(lines, m.snap.Status.Value.Sentence)
}
