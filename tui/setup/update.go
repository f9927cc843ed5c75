package setup

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"

	"unibus/core"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// Init starts the form.
func (m *Model) Init() tea.Cmd { return m.form.Init() }

// Update handles one message. The connection is tried outside of it.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.form = m.form.WithWidth(m.formWidth())
	case partMsg:
		if msg.trial != m.trying {
			return m, nil
		}
		m.trying.parts = append(m.trying.parts, msg.part)
		return m, m.nextPart()
	case triedMsg:
		if msg.trial == m.trying {
			m.handleTried(msg)
		}
		return m, nil
	case tea.KeyPressMsg:
		if m.trying != nil {
			return m, m.handleKey(msg.String())
		}
	}
	return m, m.updateForm(msg)
}

// updateForm keeps back what is typed until the field that it is meant for has the focus: huh moves that by
// messages of its own, and a person who pastes or types ahead would fill in the wrong field.
func (m *Model) updateForm(msg tea.Msg) tea.Cmd {
	if m.trying != nil {
		return nil
	}
	key, isKey := msg.(tea.KeyPressMsg)
	_, isPaste := msg.(tea.PasteMsg)
	leaves := isKey && (key.String() == "esc" || key.String() == "ctrl+c")
	if m.leaving != nil && (isKey && !leaves || isPaste) {
		m.early = append(m.early, msg)
		return nil
	}
	focused := m.form.GetFocusedField()
	form, cmd := m.form.Update(msg)
	if f, ok := form.(*huh.Form); ok {
		m.form = f
	}
	switch {
	case isKey && key.String() == "enter" && focused.Error() == nil:
		m.leaving = focused
	case m.leaving != nil && m.form.GetFocusedField() != m.leaving && m.form.State == huh.StateNormal:
		cmd = tea.Batch(cmd, m.replay())
	}
	switch m.form.State {
	case huh.StateAborted:
		m.left = true
		return tea.Quit
	case huh.StateCompleted:
		return m.try()
	}
	return cmd
}

// replay types what was kept back.
func (m *Model) replay() tea.Cmd {
	early := m.early
	m.leaving, m.early = nil, nil
	var cmds []tea.Cmd
	for _, msg := range early {
		_, cmd := m.Update(msg)
		cmds = append(cmds, cmd)
	}
	return tea.Batch(cmds...)
}

// try starts to try the answers.
func (m *Model) try() tea.Cmd {
	for _, a := range []*string{&m.answers.Servers, &m.answers.Identity, &m.answers.CA, &m.answers.Name} {
		*a = strings.TrimSpace(*a)
	}
	m.leaving, m.early = nil, nil
	ctx, cancel := context.WithCancel(m.ctx())
	t := &trial{cancel: cancel, found: make(chan Part)}
	m.trying = t
	answers := *m.answers
	run := func() tea.Msg {
		defer close(t.found)
		found, err := m.cfg.Try(ctx, answers, func(p Part) {
			select {
			case t.found <- p:
			case <-ctx.Done():
			}
		})
		if err != nil {
			return triedMsg{trial: t, answers: found, failed: true}
		}
		path, err := m.cfg.Save(found)
		if e := core.AsError(err); e != nil {
			return triedMsg{trial: t, answers: found, failed: true, problem: &Part{Name: "context", State: Fails, Text: e.Text, Next: e.Next}}
		}
		return triedMsg{trial: t, answers: found, path: path}
	}
	return tea.Batch(run, m.nextPart())
}

// nextPart waits for the next part that was tried.
func (m *Model) nextPart() tea.Cmd {
	t := m.trying
	return func() tea.Msg {
		p, ok := <-t.found
		if !ok {
			return nil
		}
		return partMsg{trial: t, part: p}
	}
}

func (m *Model) handleTried(msg triedMsg) {
	t := m.trying
	t.done, t.failed, m.saved = true, msg.failed, msg.path
	if msg.problem != nil {
		t.parts = append(t.parts, *msg.problem)
	}
	if !t.failed {
		*m.answers = msg.answers
	}
}

// handleKey acts while the connection is tried, and after that.
func (m *Model) handleKey(key string) tea.Cmd {
	switch {
	case key == "ctrl+c", key == "q":
		m.trying.cancel()
		m.left = m.saved == ""
		return tea.Quit
	case m.saved != "" && (key == "enter" || key == "esc"):
		return tea.Quit
	case key == "esc", key == "enter" && m.trying.done:
		m.trying.cancel()
		m.trying = nil
		m.newForm()
		return m.form.Init()
	}
	return nil
}

// View draws the form, or the result of the try.
func (m *Model) View() tea.View {
	t := m.cfg.Theme
	lines := []string{" " + t.Paint(theme.Strong, "unibus: which cluster?"), ""}
	foot := "enter next   shift+tab back   esc leave"
	if m.trying == nil {
		lines = append(lines, strings.Split(m.form.View(), "\n")...)
	} else {
		lines = append(lines, m.trialLines()...)
		foot = m.trialKeys()
	}
	lines = append(lines, "", " "+t.Paint(theme.Dim, foot))
	v := tea.NewView(strings.Join(lines, "\n"))
	if m.width > 0 && m.height > 0 {
		v = tea.NewView(widget.Fit(t, strings.Join(lines, "\n"), m.width, m.height))
	}
	v.AltScreen = true
	v.WindowTitle = "unibus"
	return v
}

func (m *Model) trialKeys() string {
	switch {
	case m.saved != "":
		return "enter open the console   q leave"
	case m.trying.done:
		return "enter change the answers   q leave"
	}
	return "esc change the answers   q leave"
}

func (m *Model) trialLines() []string {
	t := m.cfg.Theme
	width := 6
	for _, p := range m.trying.parts {
		width = max(width, widget.Width(p.Name))
	}
	var lines []string
	server := ""
	for i, p := range m.trying.parts {
		if p.Server != server || i == 0 && p.Server != "" {
			server = p.Server
			lines = append(lines, " "+t.Paint(theme.Plain, widget.Sanitize(server)))
		}
		lines = append(lines, m.partLines(p, width)...)
	}
	switch {
	case m.saved != "":
		lines = append(lines, "")
		lines = append(lines, m.paragraph(theme.Good, "The connection works. The context "+m.answers.Name+" is in "+m.saved+".", 1)...)
		lines = append(lines, m.paragraph(theme.Plain, "From now on: unibus-tui --context "+m.answers.Name, 1)...)
	case !m.trying.done:
		lines = append(lines, "", " "+t.Paint(theme.Dim, "Trying."))
	case m.trying.failed:
		lines = append(lines, "", " "+t.Paint(theme.Strong, "Nothing was saved."))
	}
	return lines
}

func (m *Model) partLines(p Part, width int) []string {
	t := m.cfg.Theme
	glyph, tone := t.Glyphs.Healthy, theme.Good
	switch p.State {
	case Fails:
		glyph, tone = t.Glyphs.Critical, theme.Bad
	case NotTried:
		glyph, tone = t.Glyphs.Unknown, theme.Dim
	}
	indent := width + 7
	lines := m.paragraph(theme.Plain, p.Text, indent)
	head := "   " + t.Paint(tone, glyph+" "+widget.PadRight(p.Name, width)) + "  "
	if len(lines) == 0 {
		return []string{head}
	}
	lines[0] = head + strings.TrimPrefix(lines[0], strings.Repeat(" ", indent))
	if p.Next != "" {
		lines = append(lines, m.paragraph(theme.Accent, "Do: "+p.Next, indent)...)
	}
	return lines
}

func (m *Model) paragraph(tone theme.Tone, text string, indent int) []string {
	var out []string
	for _, l := range widget.Wrap(widget.Sanitize(text), max(20, m.width-indent-1)) {
		out = append(out, strings.Repeat(" ", indent)+m.cfg.Theme.Paint(tone, l))
	}
	return out
}
