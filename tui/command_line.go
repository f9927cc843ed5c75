package tui

import (
	"slices"
	"sort"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/guide"
	"unibus/tui/action"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

const maxHistory = 100

// completions are the words that Tab completes after the colon.
func (m *Model) completions() []string {
	out := []string{"help", "quit", "pause-screen", "guide"}
	for _, g := range guide.All() {
		out = append(out, "guide "+g.Name)
	}
	for _, mode := range theme.Modes() {
		out = append(out, "theme "+string(mode))
	}
	for _, p := range m.pages {
		out = append(out, string(p.Name()))
	}
	for _, a := range m.actions {
		out = append(out, a.Name)
	}
	sort.Strings(out)
	return out
}

// openPrompt removes an old toast, which would hide the completions.
func (m *Model) openPrompt(p *widget.Prompt) { m.prompt, m.toast = p, toast{} }

func (m *Model) handlePromptKey(k tea.KeyPressMsg) tea.Cmd {
	p := m.prompt
	m.toast = toast{}
	switch p.HandleKey(k) {
	case widget.Canceled:
		m.prompt = nil
		if p.Prefix == "/" {
			m.filters[m.pageIndex] = ""
		}
	case widget.Confirmed:
		m.prompt = nil
		if p.Prefix == ":" {
			cmd, known := m.runCommandLine(strings.TrimSpace(p.Value()))
			if !known {
				m.prompt = p // so that the line can be mended
			}
			return cmd
		}
		m.filters[m.pageIndex] = strings.TrimSpace(p.Value())
	default:
		m.applyTypedText()
	}
	return nil
}

// applyTypedText filters while the operator types, and says what the prompt did not take.
func (m *Model) applyTypedText() {
	if refusal := m.prompt.Refusal(); refusal != "" {
		m.showToast(theme.Warn, refusal)
	}
	if m.prompt.Prefix == "/" {
		m.filters[m.pageIndex] = m.prompt.Value()
	}
}

// runCommandLine runs a line typed after the colon: an action, a console command or a page
// name. It returns false if the line is none of these.
func (m *Model) runCommandLine(line string) (cmd tea.Cmd, known bool) {
	if line == "" {
		return nil, true
	}
	m.addHistory(line)
	if a, arg, ok := action.Find(m.actions, line); ok {
		return m.startTypedAction(a, arg), true
	}
	command, arg, _ := strings.Cut(strings.ToLower(line), " ")
	switch command {
	case "q", "quit", "exit":
		return m.quit(), true
	case "h", "help":
		m.help = &help{}
	case "pause-screen", "hold":
		m.togglePause()
	case "pause":
		m.showToast(theme.Warn, ":pause-screen pauses the screen, :migrate pause the migration.")
	case "guide":
		return m.showGuide(strings.Fields(line)[1:]), true
	case "theme":
		m.setTheme(strings.TrimSpace(arg))
	default:
		i := m.findPage(command)
		if i < 0 || arg != "" {
			m.showToast(theme.Warn, "There is no command \""+line+"\". Tab completes, :help lists them.")
			return nil, false
		}
		m.showPage(i)
	}
	return nil, true
}

func (m *Model) addHistory(line string) {
	m.history = slices.DeleteFunc(m.history, func(h string) bool { return h == line })
	m.history = append(m.history, line)
	m.history = m.history[max(0, len(m.history)-maxHistory):]
}

func (m *Model) startTypedAction(a action.Action, arg string) tea.Cmd {
	if m.refuseSecondAction() {
		return nil
	}
	m.resume()
	selected := m.currentPage().Selection(m.renderContext())
	if a.NeedsLookUp(m.snapshot, arg, selected) {
		return m.lookUpArgument(a, arg, selected)
	}
	sel, err := a.Resolve(m.snapshot, arg, selected)
	if err != nil {
		return m.showUnresolved(a, err)
	}
	return m.startAction(a, sel)
}

func (m *Model) showUnresolved(a action.Action, err error) tea.Cmd {
	e := core.AsError(err)
	return m.showDialog(newMessage("Not done: "+a.Name, widget.Sentence(e.Text), widget.Sentence(e.Next)))
}

func (m *Model) setTheme(name string) {
	mode, ok := theme.ParseMode(name)
	if !ok || name == "" {
		m.showToast(theme.Warn, "Available themes: "+theme.ModeNames()+".")
		return
	}
	m.themeChoice = mode
	m.applyTheme()
}

// findPage finds a page by its name or by an unambiguous prefix; -1 if there is
// none.
func (m *Model) findPage(word string) int {
	found, ambiguous := -1, false
	for i, p := range m.pages {
		switch {
		case string(p.Name()) == word:
			return i
		case len(word) >= 2 && strings.HasPrefix(string(p.Name()), word):
			found, ambiguous = i, found >= 0
		}
	}
	if ambiguous {
		return -1
	}
	return found
}
