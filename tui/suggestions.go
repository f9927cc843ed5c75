package tui

import (
	"slices"
	"strings"

	"github.com/sahilm/fuzzy"

	"unibus/core/guide"
	"unibus/tui/action"
	"unibus/tui/widget"
)

// suggestions are the commands that fit what was typed after the colon, the best first:
// those that begin with it, then those that have its letters in order.
func (m *Model) suggestions(typed string) []widget.Suggestion {
	typed = strings.ToLower(strings.TrimLeft(typed, " "))
	all := m.commands()
	if a, arg, ok := m.argumentOf(typed); ok && (a.ArgumentKind == action.KindUser || a.ArgumentKind == action.KindRoom) {
		return m.askedArguments(a, arg)
	} else if ok {
		all, typed = m.arguments(a), a.Name+" "+arg
	}
	if typed == "" {
		return all
	}
	var out []widget.Suggestion
	for _, s := range all {
		if strings.HasPrefix(strings.ToLower(s.Text), typed) {
			out = append(out, s)
		}
	}
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = strings.ToLower(s.Text)
	}
	for _, match := range fuzzy.Find(typed, texts) {
		if !strings.HasPrefix(texts[match.Index], typed) {
			out = append(out, all[match.Index])
		}
	}
	return out
}

// argumentOf is the action whose argument is being typed.
func (m *Model) argumentOf(typed string) (a action.Action, arg string, ok bool) {
	for _, a := range m.actions {
		if arg, found := strings.CutPrefix(typed, a.Name+" "); found && a.ArgumentKind != "" {
			return a, strings.TrimLeft(arg, " "), true
		}
	}
	return action.Action{}, "", false
}

// commands are all commands, in the order of their names.
func (m *Model) commands() []widget.Suggestion {
	out := []widget.Suggestion{{Text: "help", Help: "keys, commands and symbols"}, {Text: "quit", Help: "end the console"}, {Text: "pause-screen", Help: "stop or go on drawing; the cluster goes on"}, {Text: "mouse", Help: "take clicks and the wheel, or not"}, {Text: "columns", Help: "choose the columns of this list"}, {Text: "export", Help: "write this list to a file", TakesMore: true}, {Text: "undo", Help: "take the last action of this console back"}, {Text: "guide", Help: "list the checklists"}}
	out = append(out, m.contextCommands()...)
	for _, g := range guide.All() {
		out = append(out, widget.Suggestion{Text: "guide " + g.Name, Help: g.Short})
	}
	for _, mode := range m.themes() {
		out = append(out, widget.Suggestion{Text: "theme " + string(mode), Help: "colors"})
	}
	for i, p := range m.pages {
		out = append(out, widget.Suggestion{Text: string(p.Name()), Help: "page " + string(rune('1'+i))})
	}
	selected := m.currentPage().Selection(m.renderContext())
	for _, a := range m.actions {
		out = append(out, m.describe(a, selected))
	}
	slices.SortStableFunc(out, func(a, b widget.Suggestion) int { return strings.Compare(a.Text, b.Text) })
	return out
}

// contextCommands are the switcher and each known cluster.
func (m *Model) contextCommands() []widget.Suggestion {
	out := []widget.Suggestion{{Text: "context", Help: "other clusters, with their verdicts"}}
	if m.cfg.Clusters == nil {
		return out
	}
	for _, k := range m.cfg.Clusters.Known() {
		out = append(out, widget.Suggestion{Text: "context " + k.Name, Help: "switch to this cluster"})
	}
	return out
}

// describe is an action, and why it is not possible now.
func (m *Model) describe(a action.Action, selected action.Selection) widget.Suggestion {
	reason := a.UnavailableReason(m.actionInput(selected))
	if a.NeedsSelection(reason) { // an argument can name it
		reason = ""
	}
	return widget.Suggestion{Text: a.Name, Help: a.Help, NotNow: reason, TakesMore: a.ArgumentKind != ""}
}

// arguments are the action with each node or bucket, and why it is not possible of that.
func (m *Model) arguments(a action.Action) []widget.Suggestion {
	var out []widget.Suggestion
	add := func(id, word, help string) {
		s := m.describe(a, action.Selection{Kind: a.ArgumentKind, IDs: []string{id}})
		s.Text, s.Help, s.TakesMore = a.Name+" "+word, help, false
		out = append(out, s)
	}
	st := m.snapshot.Status.Value
	switch a.ArgumentKind {
	case action.KindNode:
		for _, n := range st.Nodes {
			add(n.Name, n.Name, "")
		}
	case action.KindBucket:
		for _, b := range st.AllBuckets() {
			add(b.Name, strings.TrimPrefix(b.Name, "UNIBUS_"), "")
		}
	}
	return out
}

func textOf(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}
