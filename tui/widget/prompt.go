package widget

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/theme"
)

// Prompt is an input line for a command or a filter, with completion and history.
type Prompt struct {
	Prefix       string // : or /
	input        lineInput
	completions  []string
	history      []string
	historyIndex int // len(history) is the text that is being typed
	draft        string
	refusal      string // why the last key or paste was not taken
}

// NewPrompt opens a prompt. Tab completes to words; history begins with the
// oldest line.
func NewPrompt(prefix, value string, completions, history []string) *Prompt {
	in := newLineInput(value)
	in.CursorEnd()
	in.Focus()
	return &Prompt{Prefix: prefix, input: in, completions: completions, history: history, historyIndex: len(history)}
}

// Value is the typed text.
func (p *Prompt) Value() string { return p.input.Value() }

// HandleKey edits the line. Enter confirms, Esc cancels.
func (p *Prompt) HandleKey(k tea.KeyPressMsg) InputResult {
	p.refusal = ""
	switch k.String() {
	case "esc", "ctrl+c":
		return Canceled
	case "enter":
		if !p.input.goOn() {
			return Confirmed
		}
	case "tab":
		p.complete()
	case "up":
		p.recallHistory(-1)
	case "down":
		p.recallHistory(1)
	case "backspace":
		if p.Value() == "" {
			return Canceled
		}
		p.refusal = p.input.handleKey(k)
	default:
		p.refusal = p.input.handleKey(k)
	}
	return StillOpen
}

// HandlePaste inserts text, or leaves the line as it is.
func (p *Prompt) HandlePaste(text string) { p.refusal = p.input.paste(text, false) }

// Refusal says why the last key or paste was not taken, "" if it was.
func (p *Prompt) Refusal() string { return Sentence(p.refusal) }

func (p *Prompt) recallHistory(by int) {
	if p.historyIndex == len(p.history) {
		p.draft = p.Value()
	}
	p.historyIndex = max(0, min(p.historyIndex+by, len(p.history)))
	v := p.draft
	if p.historyIndex < len(p.history) {
		v = p.history[p.historyIndex]
	}
	p.input.SetValue(v)
	p.input.CursorEnd()
}

// matches are the completions of the typed text.
func (p *Prompt) matches() []string {
	var out []string
	for _, w := range p.completions {
		if strings.HasPrefix(w, strings.ToLower(p.Value())) {
			out = append(out, w)
		}
	}
	return out
}

// complete extends the text as far as all matches agree.
func (p *Prompt) complete() {
	m := p.matches()
	if len(m) == 0 {
		return
	}
	common := m[0]
	for _, w := range m[1:] {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	if len(m) == 1 {
		common += " "
	}
	p.input.SetValue(common)
	p.input.CursorEnd()
}

// View draws the line in w cells, followed by a notice, or by the matches without one. A notice that
// does not fit beside the line is wrapped below it.
func (p *Prompt) View(t theme.Theme, w int, notice string) []string {
	styleInput(t, &p.input.Model)
	if p.Value() == "" {
		p.input.setWidth(max(10, min(w/2, 60)))
	} else {
		p.input.setWidth(min(max(10, w-4), Width(p.Value())+1))
	}
	left := " " + t.Paint(theme.Accent, p.Prefix) + p.input.View()
	if notice = Sanitize(notice); notice != "" {
		if Width(left)+Width(notice)+3 <= w {
			return []string{left + "  " + t.Paint(theme.Warn, notice)}
		}
		return append([]string{left}, PaintWrapped(t, theme.Warn, notice, w)...)
	}
	if len(p.completions) == 0 {
		return []string{left + "  " + t.Paint(theme.Dim, "enter apply   esc clear")}
	}
	hint := strings.Join(p.matches(), "   ")
	return []string{left + "  " + t.Paint(theme.Dim, Truncate(t, hint, w-Width(left)-3))}
}
