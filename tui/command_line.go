package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/statefile"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// openPrompt removes an old toast, which would hide the completions, and an old answer: users come and go.
func (m *Model) openPrompt(p *widget.Prompt) {
	m.prompt, m.toast = p, toast{}
	m.completion = completion{pending: m.completion.pending}
}

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
			return tea.Batch(cmd, m.saveState())
		}
		if !m.applyFilter(p.Value()) {
			m.prompt = p // so that it can be mended
		}
	default:
		m.applyTypedText()
		return m.completeArgument()
	}
	return nil
}

// applyTypedText filters while the operator types, and says what the prompt did not take.
func (m *Model) applyTypedText() {
	if refusal := m.prompt.Refusal(); refusal != "" {
		m.showToast(theme.Warn, refusal)
	}
	if m.prompt.Prefix == "/" {
		m.applyFilter(m.prompt.Value())
	}
}

// applyFilter returns false for a filter that cannot be read, and says why. The rows stay
// those of the last one that could be.
func (m *Model) applyFilter(text string) bool {
	if err := core.CheckRowFilter(text); err != nil {
		e := core.AsError(err)
		m.showToast(theme.Warn, widget.Sentence(e.Text)+" "+widget.Sentence(e.Next))
		return false
	}
	m.filters[m.pageIndex] = strings.TrimSpace(text)
	return true
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
	case "export":
		return m.startExport(strings.TrimSpace(line[len(command):])), true
	case "undo":
		return m.undoLast(), true
	case "columns":
		m.chooseColumns()
	case "context", "contexts", "clusters":
		return m.showClusters(strings.TrimSpace(strings.TrimPrefix(line[len(command):], " "))), true
	case "mouse":
		m.toggleMouse()
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

// addHistory makes a line the newest one of the history. One with a secret in it is only of this
// session: a seed may have been typed where a public key belongs.
func (m *Model) addHistory(line string) {
	add := func(s *statefile.State) { s.AddCommand(line) }
	session := statefile.State{History: m.history}
	add(&session)
	m.history = session.History
	if core.Redact(line) == line {
		m.cfg.State.Change(add)
	}
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
	mode := theme.Mode(name)
	if !slices.Contains(m.themes(), mode) {
		m.showToast(theme.Warn, "Available themes: "+theme.NamesOf(m.themes())+".")
		return
	}
	m.themeChoice = mode
	m.applyTheme()
}

// themes are those that come with the console, and the operator's own.
func (m *Model) themes() []theme.Mode {
	out := theme.Modes()
	for _, s := range m.cfg.Skins {
		if !slices.Contains(out, s.Name) {
			out = append(out, s.Name)
		}
	}
	return out
}

// skin is the one of a theme; the operator's own come before those of the console.
func (m *Model) skin(mode theme.Mode) theme.Skin {
	for _, s := range m.cfg.Skins {
		if s.Name == mode {
			return s
		}
	}
	return theme.Shipped(mode)
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
