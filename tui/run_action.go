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
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// work is an action under way. It stands between the action and the client, and
// notes whom it was done to: what fails at the eighth of twenty has changed seven.
type work struct {
	action.Client
	name string
	of   int // how many it is done to

	mu  sync.Mutex
	did []string
}

// bound is for an action's whole run. It grows with what there is to do.
func (w *work) bound() time.Duration { return time.Duration(max(1, w.of)) * actTimeout }

// Revoke notes who is revoked.
func (w *work) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	r, err := w.Client.Revoke(ctx, id)
	w.note(id, err)
	return r, err
}

// UserActivate notes who is active again.
func (w *work) UserActivate(ctx context.Context, id string) (core.User, error) {
	u, err := w.Client.UserActivate(ctx, id)
	w.note(id, err)
	return u, err
}

func (w *work) note(id string, err error) {
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.did = append(w.did, id)
	}
}

func (w *work) done() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.did...)
}

type doneMsg struct {
	act  action.Action
	did  action.Selection // what it was done to, of what was selected when it was asked
	text string
	err  error
	same string
}

// run calls the cluster outside of Update and comes back with a doneMsg.
func (m *Model) run(a action.Action, s action.State, values []string) tea.Cmd {
	w := &work{Client: m.cfg.Client, name: a.Name, of: len(s.Selected.IDs)}
	m.running = w
	same := a.Same(s, values)
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), w.bound())
		defer cancel()
		text, err := a.Run(ctx, w, s, values)
		did := s.Selected
		if err != nil {
			did.IDs = w.done()
		}
		return doneMsg{act: a, did: did, text: text, err: err, same: same}
	}
}

func (m *Model) done(d doneMsg) tea.Cmd {
	m.running = nil
	m.feed.Refresh()
	for _, p := range m.pages { // the operator may have gone to another by now
		p.Done(d.did)
	}
	if m.asking != nil && m.asking.leave {
		m.asking = nil // there is nothing to wait for any more
	}
	if d.err != nil {
		return m.failed(d)
	}
	if did, more, ok := strings.Cut(d.text, "\n"); ok && m.asking == nil {
		return m.open(message(did, strings.Split(more, "\n")...))
	}
	text := strings.TrimSuffix(strings.ReplaceAll(d.text, "\n", " "), ".") + "."
	if d.act.Danger == action.None && !d.act.Local {
		text += " Same as: " + d.same
	}
	if widget.Width(text) > m.w-4 && m.asking == nil {
		return m.open(message("Done", text))
	}
	m.say(theme.Good, text)
	return nil
}

func (m *Model) failed(d doneMsg) tea.Cmd {
	e := core.AsError(d.err)
	if m.asking != nil { // another question is open: it is not pushed aside
		m.say(theme.Bad, e.Text)
		return nil
	}
	title := "Not done: " + d.act.Name
	lines := []string{sentence(e.Text)}
	if e.Kind == core.KindUnavailable {
		title = "No answer: " + d.act.Name
		lines = append(lines, "It may have been done or not: look before you try again.")
	}
	if d.text != "" { // what was done before it failed
		lines = append(lines, strings.Split(d.text, "\n")...)
	}
	if e.Next != "" {
		lines = append(lines, "Do: "+e.Next)
	}
	return m.open(message(title, lines...))
}
