package widget

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"unibus/tui/theme"
)

// Prompt is one line to type a command or a filter into, with completion and a history.
type Prompt struct {
	Sign     string // : or /
	input    textinput.Model
	words    []string
	history  []string
	at       int // in history; len(history) is what is being typed
	draft    string
	Complete bool
}

// NewPrompt opens a prompt; words are what Tab completes to, oldest history first.
func NewPrompt(sign, value string, words, history []string) *Prompt {
	in := textinput.New()
	in.Prompt = ""
	in.CharLimit = 256
	in.SetValue(value)
	in.CursorEnd()
	in.Focus()
	return &Prompt{Sign: sign, input: in, words: words, history: history, at: len(history), Complete: len(words) > 0}
}

// Value is what has been typed.
func (p *Prompt) Value() string { return p.input.Value() }

// Key edits; Enter confirms, Esc cancels.
func (p *Prompt) Key(k tea.KeyPressMsg) Answer {
	switch k.String() {
	case "esc", "ctrl+c":
		return Cancelled
	case "enter":
		return Confirmed
	case "tab":
		p.complete()
	case "up":
		p.recall(-1)
	case "down":
		p.recall(1)
	case "backspace":
		if p.Value() == "" {
			return Cancelled
		}
		p.input, _ = p.input.Update(k)
	default:
		p.input, _ = p.input.Update(k)
	}
	return Open
}

// Paste puts text in.
func (p *Prompt) Paste(m tea.PasteMsg) { p.input, _ = p.input.Update(m) }

func (p *Prompt) recall(by int) {
	if p.at == len(p.history) {
		p.draft = p.Value()
	}
	p.at = max(0, min(p.at+by, len(p.history)))
	v := p.draft
	if p.at < len(p.history) {
		v = p.history[p.at]
	}
	p.input.SetValue(v)
	p.input.CursorEnd()
}

// Matches are the words that what has been typed may become.
func (p *Prompt) Matches() []string {
	var out []string
	for _, w := range p.words {
		if strings.HasPrefix(w, strings.ToLower(p.Value())) {
			out = append(out, w)
		}
	}
	return out
}

// complete goes as far as all matches agree.
func (p *Prompt) complete() {
	m := p.Matches()
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

// View draws the line in w cells, the matches behind it.
func (p *Prompt) View(t theme.Theme, w int) string {
	style(t, &p.input)
	p.input.SetWidth(max(10, min(w/2, 60)))
	if p.Value() != "" {
		p.input.SetWidth(min(max(10, w-4), Width(p.Value())+1))
	}
	left := " " + t.Paint(theme.Accent, p.Sign) + p.input.View()
	if !p.Complete {
		return left + "  " + t.Paint(theme.Dim, "enter keep   esc clear")
	}
	hint := strings.Join(p.Matches(), "   ")
	return left + "  " + t.Paint(theme.Dim, Cut(t, hint, w-Width(left)-3))
}
