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
	suggest      func(typed string) []Suggestion // nil: none
	chosen       int                             // of the suggestions; -1: none, the text counts
	history      []string
	historyIndex int // len(history) is the text that is being typed
	draft        string
	recalling    bool   // up and down go on in the history
	refusal      string // why the last key or paste was not taken
}

// Suggestion is a line that a prompt offers.
type Suggestion struct {
	Text      string
	Help      string
	NotNow    string // why it is not possible now, "" if it is
	TakesMore bool   // a word may follow
}

// NewPrompt opens a prompt. Tab completes to what suggest returns, up and down choose from it;
// without a text they recall history, which begins with the oldest line.
func NewPrompt(prefix, value string, suggest func(typed string) []Suggestion, history []string) *Prompt {
	in := newLineInput(value)
	in.CursorEnd()
	in.Focus()
	return &Prompt{Prefix: prefix, input: in, suggest: suggest, chosen: -1, history: history, historyIndex: len(history)}
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
			p.take()
			return Confirmed
		}
	case "tab":
		p.complete()
	case "up":
		p.move(-1)
	case "down":
		p.move(1)
	case "backspace":
		if p.Value() == "" {
			return Canceled
		}
		p.edit(k)
	default:
		p.edit(k)
	}
	return StillOpen
}

func (p *Prompt) edit(k tea.KeyPressMsg) {
	p.chosen, p.recalling = -1, false
	p.refusal = p.input.handleKey(k)
}

// take makes the chosen suggestion the text.
func (p *Prompt) take() {
	if all := p.matches(); p.chosen >= 0 && p.chosen < len(all) {
		p.set(all[p.chosen].Text)
	}
	p.chosen = -1
}

func (p *Prompt) set(text string) {
	p.input.SetValue(text)
	p.input.CursorEnd()
}

// move chooses among the suggestions of a text, and recalls history where there is none.
func (p *Prompt) move(by int) {
	if p.Value() == "" || p.recalling || p.suggest == nil {
		p.recalling = true
		p.recallHistory(by)
		return
	}
	p.chosen = max(-1, min(p.chosen+by, len(p.matches())-1))
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

func (p *Prompt) matches() []Suggestion {
	if p.suggest == nil {
		return nil
	}
	return p.suggest(p.Value())
}

// complete takes the chosen suggestion. Without one it extends the text as far as all agree
// that begin with it, or takes the best where none does.
func (p *Prompt) complete() {
	all := p.matches()
	if len(all) == 0 {
		return
	}
	if p.chosen >= 0 && p.chosen < len(all) {
		p.set(all[p.chosen].completed())
		p.chosen = -1
		return
	}
	var begin []string
	best := all[0]
	for _, s := range all {
		if strings.HasPrefix(strings.ToLower(s.Text), strings.ToLower(p.Value())) {
			if begin = append(begin, s.Text); len(begin) == 1 {
				best = s
			}
		}
	}
	if len(begin) <= 1 {
		p.set(best.completed())
		return
	}
	common := begin[0]
	for _, w := range begin[1:] {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	p.set(common)
}

func (s Suggestion) completed() string {
	if s.TakesMore {
		return s.Text + " "
	}
	return s.Text
}

// View draws the line in w cells, followed by a notice, or by the suggestions without one. A notice
// that does not fit beside the line is wrapped below it.
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
	if p.suggest == nil {
		return []string{left + "  " + t.Paint(theme.Dim, "enter apply   esc clear")}
	}
	return append([]string{left}, p.suggestionLines(t, w)...)
}

// maxSuggestions is how many suggestions are shown at once.
const maxSuggestions = 8

// suggestionLines are the suggestions around the chosen one, one a line.
func (p *Prompt) suggestionLines(t theme.Theme, w int) []string {
	all := p.matches()
	first := max(0, min(p.chosen-maxSuggestions/2, len(all)-maxSuggestions))
	shown := all[first:min(len(all), first+maxSuggestions)]
	width := 0
	for _, s := range shown {
		width = max(width, min(w/2, Width(Sanitize(s.Text))))
	}
	var out []string
	for i, s := range shown {
		text := PadRight(Truncate(t, Sanitize(s.Text), width), width)
		help := Sanitize(s.Help)
		if s.NotNow != "" {
			help = strings.TrimPrefix(help+"; not now: "+Sanitize(s.NotNow), "; ")
		}
		help = Truncate(t, help, max(0, w-width-6))
		switch {
		case first+i == p.chosen:
			out = append(out, "  "+t.SelectedRow.Render(t.Glyphs.Cursor+" "+text+"  "+help))
		case s.NotNow != "":
			out = append(out, "    "+t.Paint(theme.Dim, text+"  "+help))
		default:
			out = append(out, "    "+t.Paint(theme.Plain, text)+"  "+t.Paint(theme.Dim, help))
		}
	}
	if n := len(all) - len(shown); n > 0 {
		out = append(out, "    "+t.Paint(theme.Faint, "and "+FormatCount(n)+" more"))
	}
	return out
}
