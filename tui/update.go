package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Update takes one message. It never waits: what takes time is a command.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	cmd := m.take(msg)
	want := m.page().Want()
	if !m.paused.IsZero() && want.Beyond(m.held) {
		m.goOn()
		m.say(theme.Dim, "The picture goes on: what is looked at now was not in it.")
	}
	m.feed.Look(want)
	return m, cmd
}

func (m *Model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tickMsg:
		m.refresh()
		return tick()
	case tea.KeyPressMsg:
		m.dirty = true
		return m.key(msg)
	case tea.PasteMsg:
		m.dirty = true
		m.paste(msg)
	case tea.WindowSizeMsg:
		m.w, m.h, m.dirty = msg.Width, msg.Height, true
	case armMsg:
		return m.arm(msg)
	case doneMsg:
		m.dirty = true
		return m.done(msg)
	default:
		m.terminal(msg)
	}
	return nil
}

// terminal takes what the terminal says of itself.
func (m *Model) terminal(msg tea.Msg) {
	switch msg := msg.(type) {
	case tea.BackgroundColorMsg:
		m.light = !msg.IsDark()
	case tea.ColorProfileMsg:
		m.colours = msg.Profile
	case tea.EnvMsg:
		m.noColor = msg.Getenv("NO_COLOR") != ""
	default:
		return
	}
	m.dress()
}

// refresh pulls the newest snapshot. Nothing is drawn unless it, the second, or the toast changed.
func (m *Model) refresh() {
	now := m.cfg.Now()
	if snap := m.feed.Now(); m.paused.IsZero() && snap.Version != m.snap.Version {
		m.snap, m.dirty = snap, true
	}
	if now.Unix() != m.now.Unix() {
		m.dirty = true
	}
	if m.toast.text != "" && now.After(m.toast.until) {
		m.toast, m.dirty = toast{}, true
	}
	if m.dirty {
		m.now = now
	}
}

func (m *Model) paste(msg tea.PasteMsg) {
	if m.cramped() {
		return
	}
	msg.Content = strings.TrimSpace(widget.Clean(msg.Content))
	switch {
	case m.asking != nil:
		m.asking.dialog.Paste(msg)
	case m.prompt != nil:
		m.prompt.Paste(msg)
		m.filterLive()
	}
}

func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	key := k.String()
	switch {
	case key == "ctrl+c" && m.prompt != nil && !m.cramped():
		return m.promptKey(k) // gives up what is typed, not the console
	case key == "ctrl+c":
		return m.leave()
	case key == "ctrl+z":
		return tea.Suspend
	case m.cramped():
		return m.unseen(key)
	case m.asking != nil:
		return m.answer(k)
	case m.prompt != nil:
		return m.promptKey(k)
	case m.help != nil:
		if !m.help.key(key) {
			m.help = nil
		}
		return nil
	}
	return m.command(key)
}

// command takes a key that nothing has caught: first the page's own, then the
// actions of the page, then what works everywhere.
func (m *Model) command(key string) tea.Cmd {
	s := m.scene()
	if e := m.page().Key(s, key); e.Handled {
		m.follow(e)
		return nil
	}
	if a, ok := action.ByKey(m.actions, m.page().Name(), key); ok {
		return m.begin(a, m.page().Selection(s))
	}
	if len(key) == 1 && key[0] >= '1' && int(key[0]-'1') < len(m.pages) {
		m.show(int(key[0] - '1'))
		return nil
	}
	return m.global(s, key)
}

func (m *Model) unmark() bool {
	p, ok := m.page().(page.Marker)
	return ok && p.Unmark()
}

func (m *Model) global(s page.Scene, key string) tea.Cmd {
	switch key {
	case "q":
		if !m.page().Back() && !m.unmark() {
			return m.leave()
		}
	case "esc":
		m.back()
	case "tab":
		m.show((m.at + 1) % len(m.pages))
	case "shift+tab":
		m.show((m.at + len(m.pages) - 1) % len(m.pages))
	case ":":
		m.prompt = widget.NewPrompt(":", "", m.words(), m.history)
	case "/":
		m.prompt = widget.NewPrompt("/", m.filters[m.at], nil, nil)
	case "?":
		m.help = &help{}
	case "space":
		m.hold()
	case "y":
		return m.copy(s)
	}
	return nil
}

// follow goes where a page's key leads.
func (m *Model) follow(e page.Effect) {
	if e.Goto == "" {
		return
	}
	for i, p := range m.pages {
		if p.Name() == e.Goto {
			m.show(i)
			if e.Open != "" {
				p.Open(m.scene(), e.Open)
			}
		}
	}
}

func (m *Model) show(i int) { m.at = i }

// back closes what is nearest: a detail, then the filter, then marks, then the
// page. The filter goes before the marks, so that what is unmarked is seen.
func (m *Model) back() {
	switch {
	case m.toast.text != "":
		m.toast = toast{}
	case m.page().Back():
	case m.filters[m.at] != "":
		m.filters[m.at] = ""
	case m.unmark():
	default:
		m.at = 0
	}
}

func (m *Model) copy(s page.Scene) tea.Cmd {
	what, text := m.page().Copy(s)
	if text = clean(text); text == "" {
		m.say(theme.Dim, "There is nothing to copy here.")
		return nil
	}
	said := "Copied " + what + "; or by hand: " + strings.ReplaceAll(text, "\n", " ")
	if widget.Width(said) > m.w-2 { // a whole id is worth more than the word
		said = "Copied; or by hand: " + strings.ReplaceAll(text, "\n", " ")
	}
	m.say(theme.Good, said)
	return tea.SetClipboard(text)
}

// clean is widget.Clean for each line of a text: what is copied is pasted into terminals.
func clean(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = widget.Clean(l)
	}
	return strings.Join(lines, "\n")
}
