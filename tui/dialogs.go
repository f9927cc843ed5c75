package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/action"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// asking is an open dialog and what it is about.
type asking struct {
	dialog *widget.Dialog
	act    action.Action
	state  action.State // as it was when the question was asked: what was read is what is done
	only   bool         // a message, nothing to run
	leave  bool         // whether to quit while an action is at work
	early  bool         // a key came before it was armed
}

type armMsg struct{ asking *asking }

// begin asks what an action's danger demands, or says why it is not possible.
// What is asked about is what is, never a picture that was held.
func (m *Model) begin(a action.Action, sel action.Selection) tea.Cmd {
	m.goOn()
	s := m.state(sel)
	if m.running != nil {
		m.say(theme.Warn, "Still waiting for the answer to "+m.running.name+".")
		return nil
	}
	if why := a.Impossible(s); why != "" {
		m.say(theme.Warn, "Not possible: "+why+".")
		return nil
	}
	if !a.Asks(s) {
		return m.run(a, s, nil)
	}
	return m.open(&asking{dialog: widget.NewDialog(a.Dialog(s)), act: a, state: s})
}

func (m *Model) open(q *asking) tea.Cmd {
	m.asking, m.prompt, m.help = q, nil, nil
	return q.wait()
}

func (q *asking) wait() tea.Cmd {
	return tea.Tick(armAfter, func(time.Time) tea.Msg { return armMsg{q} })
}

// arm lets a dialog take answers once no key has come for a while: what was
// typed before it opened was meant for something else.
func (m *Model) arm(msg armMsg) tea.Cmd {
	switch {
	case m.asking != msg.asking || msg.asking.dialog.Armed():
		return nil
	case msg.asking.early:
		msg.asking.early = false
		return msg.asking.wait()
	}
	msg.asking.dialog.Arm()
	m.dirty = true
	return nil
}

func (m *Model) answer(k tea.KeyPressMsg) tea.Cmd {
	q := m.asking
	if !q.dialog.Armed() {
		q.early = true
	}
	switch q.dialog.Key(k) {
	case widget.Cancelled:
		m.asking = nil
	case widget.Confirmed:
		m.asking = nil
		if q.leave {
			return tea.Quit
		}
		if !q.only {
			return m.run(q.act, q.state, q.dialog.Values())
		}
	}
	return nil
}

func message(title string, lines ...string) *asking {
	return &asking{dialog: widget.NewDialog(widget.Ask{Title: title, Lines: lines}), only: true}
}

// sentence begins a text with a capital and ends it with a stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
