package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/action"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// dialogState is the open dialog with the action that it confirms.
type dialogState struct {
	dialog         *widget.Dialog
	action         action.Action
	state          action.State // taken when the dialog opened, so that the action does what the operator has read
	messageOnly    bool         // no action runs
	asksToQuit     bool         // confirming quits the console
	keyBeforeArmed bool         // a key came too early: the delay starts again
}

type armMsg struct{ dialog *dialogState }

// startAction runs an action, or opens its dialog, or says why it is unavailable.
// It ends a pause first: the operator must not confirm what an old screen shows.
func (m *Model) startAction(act action.Action, sel action.Selection) tea.Cmd {
	m.resume()
	s := m.actionState(sel)
	if m.running != nil {
		m.showToast(theme.Warn, "Still waiting for the answer to "+m.running.name+".")
		return nil
	}
	if reason := act.UnavailableReason(s); reason != "" {
		m.showToast(theme.Warn, "Not available: "+reason+".")
		return nil
	}
	if !act.NeedsDialog(s) {
		return m.runAction(act, s, nil)
	}
	return m.showDialog(&dialogState{dialog: widget.NewDialog(act.Dialog(s)), action: act, state: s})
}

func (m *Model) showDialog(q *dialogState) tea.Cmd {
	m.dialog, m.prompt, m.help = q, nil, nil
	return q.armLater()
}

func (q *dialogState) armLater() tea.Cmd {
	return tea.Tick(armDelay, func(time.Time) tea.Msg { return armMsg{q} })
}

// armDialog lets the dialog take answers after armDelay without a key. Keys typed
// before it opened were meant for something else.
func (m *Model) armDialog(msg armMsg) tea.Cmd {
	switch {
	case m.dialog != msg.dialog || msg.dialog.dialog.Armed():
		return nil
	case msg.dialog.keyBeforeArmed:
		msg.dialog.keyBeforeArmed = false
		return msg.dialog.armLater()
	}
	msg.dialog.dialog.Arm()
	m.dirty = true
	return nil
}

func (m *Model) handleDialogKey(k tea.KeyPressMsg) tea.Cmd {
	q := m.dialog
	if !q.dialog.Armed() {
		q.keyBeforeArmed = true
	}
	switch q.dialog.HandleKey(k) {
	case widget.Canceled:
		m.dialog = nil
	case widget.Confirmed:
		m.dialog = nil
		if q.asksToQuit {
			return tea.Quit
		}
		if !q.messageOnly {
			return m.runAction(q.action, q.state, q.dialog.Values())
		}
	}
	return nil
}

func newMessage(title string, lines ...string) *dialogState {
	return &dialogState{dialog: widget.NewDialog(widget.DialogSpec{Title: title, Lines: lines}), messageOnly: true}
}

// asSentence capitalizes a text and adds the full stop.
func asSentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
