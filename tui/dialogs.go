package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// dialogState is the open dialog with the action that it confirms.
type dialogState struct {
	dialog          *widget.Dialog
	action          action.Action
	state           action.Input                  // taken when the dialog opened, so that the action does what the operator has read
	messageOnly     bool                          // no action runs
	offersUndo      bool                          // the message says what z does
	asksToQuit      bool                          // confirming quits the console
	confirmed       func(values []string) tea.Cmd // instead of an action; nil: the action runs
	keyCameTooEarly bool                          // a key came too early: the delay starts again
}

type acceptKeysMsg struct{ openDialog *dialogState }

// startAction runs an action, or opens its dialog, or says why it is unavailable.
// It ends a pause first: the operator must not confirm what an old screen shows.
func (m *Model) startAction(act action.Action, sel action.Selection) tea.Cmd {
	if m.refuseSecondAction() {
		return nil
	}
	m.resume()
	return m.startActionOn(act, m.actionInput(sel))
}

func (m *Model) startActionOn(act action.Action, s action.Input) tea.Cmd {
	m.lookUp = nil
	if reason := act.UnavailableReason(s); reason != "" {
		m.showToast(theme.Warn, "Not available: "+reason+".")
		m.toast.over = func(snap *feed.Snapshot) bool {
			s.Snapshot = snap
			return act.UnavailableReason(s) != reason
		}
		return nil
	}
	if !act.NeedsDialog(s) {
		return m.runAction(act, s, nil)
	}
	return m.showDialog(&dialogState{dialog: widget.NewDialog(act.Dialog(s)), action: act, state: s})
}

// refuseSecondAction says that an action is still running. It returns false if none is. It comes before
// everything that could open a message: only the question whether to quit may be open when the result comes.
func (m *Model) refuseSecondAction() bool {
	if m.running != nil {
		m.showToast(theme.Warn, "Still waiting for the answer to "+m.running.name+".")
		m.toast.over = func(*feed.Snapshot) bool { return m.running == nil }
	}
	return m.running != nil
}

func (m *Model) showDialog(d *dialogState) tea.Cmd {
	m.openDialog, m.prompt, m.help, m.columns, m.toast = d, nil, nil, nil, toast{}
	return d.acceptKeysLater()
}

func (d *dialogState) acceptKeysLater() tea.Cmd {
	return tea.Tick(acceptDelay, func(time.Time) tea.Msg { return acceptKeysMsg{d} })
}

// acceptDialogKeys lets the dialog take answers after acceptDelay without a key. Keys typed
// before it opened were meant for something else.
func (m *Model) acceptDialogKeys(msg acceptKeysMsg) tea.Cmd {
	switch {
	case m.openDialog != msg.openDialog || msg.openDialog.dialog.AcceptsKeys():
		return nil
	case msg.openDialog.keyCameTooEarly:
		msg.openDialog.keyCameTooEarly = false
		return msg.openDialog.acceptKeysLater()
	}
	msg.openDialog.dialog.AcceptKeys()
	m.dirty = true
	return nil
}

func (m *Model) handleDialogKey(k tea.KeyPressMsg) tea.Cmd {
	d := m.openDialog
	m.toast = toast{} // it was about something else
	if !d.dialog.AcceptsKeys() {
		d.keyCameTooEarly = true
	} else if cmd, handled := m.handleDialogCopy(k.String()); handled {
		return cmd
	}
	return m.finishDialog(d.dialog.HandleKey(k))
}

// finishDialog does what an answer to the dialog means.
func (m *Model) finishDialog(result widget.InputResult) tea.Cmd {
	d := m.openDialog
	switch result {
	case widget.Canceled:
		m.openDialog = nil
	case widget.Confirmed:
		m.openDialog = nil
		if d.asksToQuit {
			return tea.Quit
		}
		if d.confirmed != nil {
			return d.confirmed(d.dialog.Values())
		}
		if !d.messageOnly {
			return m.runAction(d.action, d.state, d.dialog.Values())
		}
	}
	return nil
}

// messageHints are the keys of a message.
func (d *dialogState) messageHints() []page.KeyHint {
	hints := []page.KeyHint{{Key: "y", Does: "copy"}}
	if d.offersUndo {
		hints = append(hints, page.KeyHint{Key: "z", Does: "undo"})
	}
	return append(hints, page.KeyHint{Key: "esc", Does: "close"})
}

// keyHints are the keys of a question.
func (d *dialogState) keyHints() []page.KeyHint {
	hints := []page.KeyHint{{Key: "tab", Does: "next"}, {Key: "enter", Does: "choose"}}
	if d.dialog.Command() != "" {
		hints = append(hints, page.KeyHint{Key: "ctrl+y", Does: "copy the command"})
	}
	return append(hints, page.KeyHint{Key: "esc", Does: "cancel"})
}

// undoable is the message with the key that takes back what it says; undo is "" where nothing does.
func (d *dialogState) undoable(undo string) *dialogState {
	d.offersUndo = undo != ""
	return d
}

func newMessage(title string, lines ...string) *dialogState {
	return &dialogState{dialog: widget.NewDialog(widget.DialogSpec{Title: title, Lines: lines}), messageOnly: true}
}
