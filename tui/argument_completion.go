package tui

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/widget"
)

// completionTimeout bounds the question which users or rooms an argument may name.
const completionTimeout = 2 * time.Second

// maxArguments is how many of them a node is asked for. Another letter narrows them.
const maxArguments = 20

// argumentQuestion is what an argument could name: a kind of objects, and the typed text.
type argumentQuestion struct{ kind, text string }

// argument is an object that an argument can name.
type argument struct {
	id, word, help string
	user           *core.User
}

// completion is what a node has answered about the arguments of the prompt.
type completion struct {
	asked    argumentQuestion // the newest one
	pending  bool             // its answer is on the way
	answered argumentQuestion
	found    []argument
	total    int
	err      *core.Error
}

type completionMsg struct {
	client   Client // that was asked
	question argumentQuestion
	found    []argument
	total    int
	err      error
}

// completeArgument asks a node for the users or rooms that the typed argument may name: the console
// knows only those that its page shows. One question is on the way at a time.
func (m *Model) completeArgument() tea.Cmd {
	if m.prompt == nil || m.prompt.Prefix != ":" {
		return nil
	}
	a, arg, ok := m.argumentOf(strings.ToLower(strings.TrimLeft(m.prompt.Value(), " ")))
	q := argumentQuestion{a.ArgumentKind, arg}
	if !ok || q.kind != action.KindUser && q.kind != action.KindRoom || m.completion.pending || m.completion.asked == q {
		return nil
	}
	m.completion.asked, m.completion.pending = q, true
	client := m.cfg.Client
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		found, total, err := askArguments(ctx, client, q)
		return completionMsg{client, q, found, total, err}
	}
}

func askArguments(ctx context.Context, c Client, q argumentQuestion) ([]argument, int, error) {
	if q.kind == action.KindRoom {
		p, err := c.RoomPage(ctx, core.RoomPageRequest{RoomQuery: core.RoomQuery{Filter: q.text}, Limit: maxArguments})
		var out []argument
		for _, r := range p.Rooms {
			out = append(out, argument{id: string(r.ID), word: string(r.ID), help: widget.Sanitize(textOf(r.Name))})
		}
		return out, p.Total, err
	}
	p, err := c.UserPage(ctx, core.UserPageRequest{UserQuery: core.UserQuery{Filter: q.text, Sort: core.SortByName}, Limit: maxArguments, NoKeys: true})
	slices.SortStableFunc(p.Users, func(a, b core.User) int { return cmp.Compare(nameRank(a, q.text), nameRank(b, q.text)) })
	return userArguments(p.Users), p.Total, err
}

// nameRank is 0 for a name that begins with the typed text: the node's filter also finds its words in ids.
func nameRank(u core.User, typed string) int {
	switch name := strings.ToLower(textOf(u.Name)); {
	case strings.HasPrefix(name, typed):
		return 0
	case strings.Contains(name, typed):
		return 1
	}
	return 2
}

// userArguments are users by their names, or by their ids where a name cannot be typed or is not the only one.
func userArguments(users []core.User) []argument {
	count := map[string]int{}
	for _, u := range users {
		count[strings.ToLower(textOf(u.Name))]++
	}
	var out []argument
	for _, u := range users {
		name := widget.Sanitize(textOf(u.Name))
		x := argument{id: string(u.ID), word: name, help: u.ID.Short() + ", " + string(u.Status), user: &u}
		if name != textOf(u.Name) || strings.TrimSpace(name) != name || name == "" || count[strings.ToLower(name)] > 1 {
			x.word, x.help = string(u.ID), strings.TrimSuffix(cmp.Or(name, "no name")+", "+string(u.Status), ", ")
		}
		out = append(out, x)
	}
	return out
}

// handleCompletion takes an answer, and asks again where the text has changed meanwhile.
func (m *Model) handleCompletion(msg completionMsg) tea.Cmd {
	if msg.client != m.cfg.Client { // of the cluster before
		return nil
	}
	c := &m.completion
	c.pending, c.answered, c.found, c.total, c.err = false, msg.question, msg.found, msg.total, nil
	if msg.err != nil {
		c.err = core.AsError(msg.err)
	}
	return m.completeArgument()
}

// askedArguments are the suggestions that a node's answer makes, or why there are none yet.
func (m *Model) askedArguments(a action.Action, arg string) []widget.Suggestion {
	c := m.completion
	plain := widget.Suggestion{Text: a.Name + " " + arg}
	if c.answered != (argumentQuestion{a.ArgumentKind, arg}) {
		plain.Help = "the nodes are asked for it"
		if arg == "" {
			plain.Text, plain.Help = a.Name+" ", "the nodes are asked which there are"
		}
		return []widget.Suggestion{plain}
	}
	if c.err != nil {
		plain.Help = "which there are could not be read: " + widget.Sanitize(c.err.Text)
		return []widget.Suggestion{plain}
	}
	var out []widget.Suggestion
	for _, x := range c.found {
		s := m.actionInput(action.Selection{Kind: a.ArgumentKind, IDs: []string{x.id}})
		if x.user != nil {
			s.Users = []core.User{*x.user}
		}
		out = append(out, widget.Suggestion{Text: a.Name + " " + x.word, Help: x.help, NotNow: a.UnavailableReason(s)})
	}
	if more := c.total - len(c.found); more > 0 {
		out = append(out, widget.Suggestion{Text: a.Name + " " + arg, Help: widget.FormatCount(more) + " more: another letter narrows them"})
	}
	return out
}
