package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"
)

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
