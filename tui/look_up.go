package tui

import (
	"cmp"
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/widget"
)

// lookUpTimeout bounds the question which users or room a typed command is about.
const lookUpTimeout = 5 * time.Second

// lookUp is a typed command that waits for a node to say what it is about. Only
// the newest one opens its dialog.
type lookUp struct {
	action action.Action
	what   string
}

type foundMsg struct {
	lookUp   *lookUp
	selected action.Selection
	users    []core.User
	err      error
}

// lookUpArgument asks outside of Update, and returns with a foundMsg.
func (m *Model) lookUpArgument(a action.Action, arg string, selected action.Selection) tea.Cmd {
	m.lookUp = &lookUp{action: a, what: cmp.Or(arg, widget.Plural(len(selected.IDs), "user", "users"))}
	asked, client := m.lookUp, m.cfg.Client
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
		defer cancel()
		sel, users, err := a.LookUp(ctx, client, arg, selected)
		for i := range users {
			if name := users[i].Name; name != nil {
				users[i].Name = new(widget.Sanitize(*name))
			}
		}
		return foundMsg{lookUp: asked, selected: sel, users: users, err: err}
	}
}

// handleFound opens the dialog of the command, unless esc or another action came first.
func (m *Model) handleFound(found foundMsg) tea.Cmd {
	if found.lookUp != m.lookUp {
		return nil
	}
	m.lookUp = nil
	if found.err != nil {
		return m.showUnresolved(found.lookUp.action, found.err)
	}
	m.resume()
	s := m.actionInput(found.selected)
	s.Users = found.users
	return m.startActionOn(found.lookUp.action, s)
}
