package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"
)

// windowTooSmall is true when neither pages nor dialogs fit into the window.
func (m *Model) windowTooSmall() bool { return m.width < minWidth || m.height < minHeight }

// handleSmallWindowKey allows only quitting and canceling: the operator cannot
// see what another key would do.
func (m *Model) handleSmallWindowKey(key string) tea.Cmd {
	switch key {
	case "q":
		return m.quit()
	case "esc":
		m.openDialog = nil
	}
	return nil
}

// smallWindowLines are shown instead of a page. They include the verdict and what to do.
func (m *Model) smallWindowLines() []string {
	lines := []string{fmt.Sprintf("This console needs %d x %d; the window is %d x %d. q quits.", minWidth, minHeight, m.width, m.height)}
	switch {
	case m.openDialog != nil && m.openDialog.asksToQuit:
		lines = append(lines, m.waitingText(), "q quits anyway, esc stays.")
	case m.openDialog != nil && m.openDialog.messageOnly:
		lines = append(lines, "A message is open: esc closes it.")
	case m.openDialog != nil:
		lines = append(lines, "A dialog is open: esc cancels it.")
	case m.running != nil:
		lines = append(lines, m.waitingText())
	}
	if m.toast.text != "" {
		lines = append(lines, m.toast.text)
	}
	if m.guide != nil {
		return append(lines, m.guide.openStepLines()...)
	}
	st := m.snapshot.Status.Value
	lines = append(lines, st.Sentence)
	if st.Do != "" {
		lines = append(lines, "Do: "+st.Do)
	}
	return lines
}
