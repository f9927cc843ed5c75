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

// lookUpTimeout bounds the question which user a typed command is about.
const lookUpTimeout = 5 * time.Second

// lookUp is a typed command that waits for a node to say which users it is about. Only
// the newest one opens its dialog.
type lookUp struct {
	action action.Action
	what   string
}

type usersFoundMsg struct {
	lookUp   *lookUp
	selected action.Selection
	users    []core.User
	err      error
}

// lookUpUsers asks outside of Update, and returns with a usersFoundMsg.
func (m *Model) lookUpUsers(a action.Action, arg string, selected action.Selection) tea.Cmd {
	m.lookUp = &lookUp{action: a, what: cmp.Or(arg, widget.Plural(len(selected.IDs), "user", "users"))}
	asked, client := m.lookUp, m.cfg.Client
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
		defer cancel()
		sel, users, err := action.LookUp(ctx, client, arg, selected)
		for i := range users {
			if name := users[i].Name; name != nil {
				users[i].Name = new(widget.Sanitize(*name))
			}
		}
		return usersFoundMsg{lookUp: asked, selected: sel, users: users, err: err}
	}
}

// handleUsersFound opens the dialog of the command, unless esc or another action came first.
func (m *Model) handleUsersFound(found usersFoundMsg) tea.Cmd {
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
