package tui

import (
	"context"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// runningAction is an action that has not returned. It stands between the action
// and the client and records which users were changed, because a bulk action may
// fail halfway.
type runningAction struct {
	action.Client
	name  string
	total int // of selected objects

	changedLock sync.Mutex
	changedIDs  []string
}

// timeout bounds the whole action. It grows with the number of objects.
func (a *runningAction) timeout() time.Duration {
	return time.Duration(max(1, a.total)) * actionTimeout
}

// Revoke records the user that was revoked.
func (a *runningAction) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	r, err := a.Client.Revoke(ctx, id)
	a.recordChange(id, err)
	return r, err
}

// UserActivate records the user that was activated.
func (a *runningAction) UserActivate(ctx context.Context, id string) (core.User, error) {
	u, err := a.Client.UserActivate(ctx, id)
	a.recordChange(id, err)
	return u, err
}

func (a *runningAction) recordChange(id string, err error) {
	if err == nil {
		a.changedLock.Lock()
		defer a.changedLock.Unlock()
		a.changedIDs = append(a.changedIDs, id)
	}
}

func (a *runningAction) changed() []string {
	a.changedLock.Lock()
	defer a.changedLock.Unlock()
	return append([]string(nil), a.changedIDs...)
}

type actionDoneMsg struct {
	action  action.Action
	changed action.Selection // the part of the selection that was changed
	text    string
	err     error
	command string
	done    action.Done
}

// runAction calls the cluster outside of Update and returns with an
// actionDoneMsg.
func (m *Model) runAction(act action.Action, s action.Input, values []string) tea.Cmd {
	running := &runningAction{Client: m.cfg.Client, name: act.Name, total: len(s.Selected.IDs)}
	m.running = running
	command := act.CommandLine(s, values)
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), running.timeout())
		defer cancel()
		text, err := act.Run(ctx, running, s, values)
		changed := s.Selected
		if err != nil {
			changed.IDs = running.changed()
		}
		done := action.Done{Before: s, Changed: running.changed(), Values: values}
		return actionDoneMsg{action: act, changed: changed, text: text, err: err, command: command, done: done}
	}
}

func (m *Model) handleActionDone(d actionDoneMsg) tea.Cmd {
	m.running = nil
	m.feed.PollNow()
	for _, p := range m.pages { // the operator may be on another page by now
		p.ActionDone(d.changed)
	}
	m.openDialog = nil // it can only ask whether to quit while the action runs
	undo := m.noteUndo(d)
	if d.err != nil {
		return m.showFailure(d, undo)
	}
	if first, rest, ok := strings.Cut(d.text, "\n"); ok {
		return m.showDialog(newMessage(first, append(strings.Split(rest, "\n"), withoutEmpty(undo)...)...).undoable(undo))
	}
	text := strings.TrimSuffix(d.text, ".") + "."
	if d.action.Confirmation == action.NoConfirmation && !d.action.ChangesNothing {
		text += " Same as: " + d.command
	}
	if undo != "" {
		text += " " + undo
	}
	if widget.Width(text) > 2*(m.width-4) {
		return m.showDialog(newMessage("Done", text).undoable(undo))
	}
	m.showToast(theme.Good, text)
	if d.action.IsOver != nil {
		answers := m.snapshot.Migration.Answers
		m.toast.over = func(snap *feed.Snapshot) bool { // the answer that was there may be of before
			return snap.Migration.Answers > answers+1 && d.action.IsOver(action.Input{Snapshot: snap})
		}
	}
	return nil
}

// withoutEmpty is a paragraph, none for "".
func withoutEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func (m *Model) showFailure(d actionDoneMsg, undo string) tea.Cmd {
	e := core.AsError(d.err)
	title := "Not done: " + d.action.Name
	lines := []string{widget.Sentence(e.Text)}
	if e.Kind == core.KindUnavailable && core.OutcomeOf(d.err) != core.OutcomeNone {
		title = "No answer: " + d.action.Name
		lines = append(lines, "The action may have taken effect. Check before you repeat it.")
	}
	if d.text != "" { // the part that was done before the error
		lines = append(lines, strings.Split(d.text, "\n")...)
	}
	if e.Next != "" {
		lines = append(lines, "Do: "+e.Next)
	}
	lines = append(lines, withoutEmpty(undo)...)
	return m.showDialog(newMessage(title, lines...).undoable(undo))
}
