package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/tui/page"
	"unibus/tui/widget"
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

// smallWindowLines are shown instead of a page: interruptions first, then the verdict and the next
// step.
func (m *Model) smallWindowLines() []string {
	var lines []string
	switch {
	case m.openDialog != nil && m.openDialog.asksToQuit:
		lines = append(lines, m.waitingText(), m.keyName("q")+" quits anyway, esc stays.")
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
	lines = append(lines, m.smallVerdictLines()...)
	if m.guide != nil {
		lines = append(lines, m.guide.openStepLines()...)
	}
	return append(lines, fmt.Sprintf("The pages need %d x %d; the window is %d x %d. %s quits.", minWidth, minHeight, m.width, m.height, m.keyName("q")))
}

// smallVerdictLines are the verdict's sentence and the next step, or why there is none.
func (m *Model) smallVerdictLines() []string {
	rc := m.renderContext()
	rc.Width = m.width
	st := rc.Snapshot.Status
	var lines []string
	for _, l := range slices.Concat(rc.WaitingLines("the first answer", st.Freshness), rc.StaleLines(st.Freshness, page.StatusMaxAge)) {
		lines = append(lines, strings.TrimSpace(ansi.Strip(l)))
	}
	if !st.Known() {
		return lines
	}
	lines = append(lines, widget.GroupCounts(st.Value.Sentence))
	if st.Value.Do != "" {
		lines = append(lines, "Do: "+st.Value.Do)
	}
	return lines
}
