package tui

import (
	"slices"
	"sort"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

const maxHistory = 100

// words are what Tab completes to behind the colon.
func (m *Model) words() []string {
	out := []string{"help", "quit", "hold", "theme dark", "theme light", "theme basic", "theme mono", "theme auto"}
	for _, p := range m.pages {
		out = append(out, p.Name())
	}
	for _, a := range m.actions {
		out = append(out, a.Name)
	}
	sort.Strings(out)
	return out
}

func (m *Model) promptKey(k tea.KeyPressMsg) tea.Cmd {
	p := m.prompt
	switch p.Key(k) {
	case widget.Cancelled:
		m.prompt = nil
		if p.Sign == "/" {
			m.filters[m.at] = ""
		}
	case widget.Confirmed:
		m.prompt = nil
		if p.Sign == ":" {
			return m.typed(strings.TrimSpace(p.Value()))
		}
		m.filters[m.at] = strings.TrimSpace(p.Value())
	default:
		m.filterLive()
	}
	return nil
}

// filterLive filters while it is typed.
func (m *Model) filterLive() {
	if m.prompt != nil && m.prompt.Sign == "/" {
		m.filters[m.at] = m.prompt.Value()
	}
}

// typed runs what was typed behind the colon: a word of the console's own, a page, or an action.
func (m *Model) typed(line string) tea.Cmd {
	if line == "" {
		return nil
	}
	m.remember(line)
	if a, arg, ok := action.Find(m.actions, line); ok {
		return m.beginTyped(a, arg)
	}
	word, arg, _ := strings.Cut(strings.ToLower(line), " ")
	switch word {
	case "q", "quit", "exit":
		return m.leave()
	case "h", "help":
		m.help = &help{}
		return nil
	case "hold":
		m.hold()
		return nil
	case "pause":
		m.say(theme.Warn, ":hold holds the picture, :migrate pause the move.")
		return nil
	case "theme":
		return m.setTheme(strings.TrimSpace(arg))
	}
	if i := m.pageOf(word); i >= 0 && arg == "" {
		m.show(i)
		return nil
	}
	m.say(theme.Warn, "There is no command \""+line+"\". ? lists them, Tab completes.")
	return nil
}

func (m *Model) remember(line string) {
	m.history = slices.DeleteFunc(m.history, func(h string) bool { return h == line })
	m.history = append(m.history, line)
	m.history = m.history[max(0, len(m.history)-maxHistory):]
}

func (m *Model) beginTyped(a action.Action, arg string) tea.Cmd {
	m.goOn()
	sel, err := a.Resolve(m.snap, arg, m.page().Selection(m.scene()))
	if err != nil {
		e := core.AsError(err)
		return m.open(message("Not done: "+a.Name, sentence(e.Text), sentence(e.Next)))
	}
	return m.begin(a, sel)
}

func (m *Model) setTheme(name string) tea.Cmd {
	mode, ok := theme.ParseMode(name)
	if !ok || name == "" {
		m.say(theme.Warn, "The themes are auto, dark, light, basic and mono.")
		return nil
	}
	m.want = mode
	m.dress()
	return nil
}

// pageOf finds a page by its name or by how that begins; -1 where none or several do.
func (m *Model) pageOf(word string) int {
	found, several := -1, false
	for i, p := range m.pages {
		switch {
		case p.Name() == word:
			return i
		case len(word) >= 2 && strings.HasPrefix(p.Name(), word):
			found, several = i, found >= 0
		}
	}
	if several {
		return -1
	}
	return found
}
