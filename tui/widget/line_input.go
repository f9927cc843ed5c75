package widget

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"unibus/core"
)

// maxInput bounds an input line, in characters.
const maxInput = 256

// lineInput is an input of one line. It takes a text whole, or it stays as it was and says which
// character it does not take: the input below it would leave that out without a word.
type lineInput struct {
	textinput.Model
	stopped bool // a line break came as a key
}

func newLineInput(value string) lineInput {
	in := textinput.New()
	in.Prompt = ""
	in.CharLimit = maxInput
	in.SetValue(value)
	return lineInput{Model: in}
}

// handleKey edits the line, or returns why it does not. A terminal without bracketed paste sends
// pasted lines as keys. Those after a line break are not taken, or the lines would be joined.
func (in *lineInput) handleKey(k tea.KeyPressMsg) (refusal string) {
	switch {
	case k.String() == "ctrl+j":
		in.stopped = true
	case k.Text == "":
		if !in.goOn() {
			in.Model, _ = in.Update(k)
		}
		return ""
	}
	if in.stopped {
		return "This input takes one line, and took nothing after the line break. Enter goes on with that line."
	}
	return in.insert(k.Text, true)
}

// setWidth sets the visible cells, and shows from the beginning what fits into them.
func (in *lineInput) setWidth(w int) {
	in.SetWidth(w)
	in.SetCursor(in.Position()) // or the line stays scrolled as the old width asked for
}

// goOn lets text in again. It returns false if nothing had stopped that.
func (in *lineInput) goOn() bool {
	stopped := in.stopped
	in.stopped = false
	return stopped
}

// paste inserts pasted text at the cursor, or returns why it does not. list says that the input takes
// several values, one a line.
func (in *lineInput) paste(text string, list bool) (refusal string) {
	if !utf8.ValidString(text) {
		return "Nothing was pasted: the text is not UTF-8."
	}
	lines := splitPasted(text)
	switch {
	case len(lines) == 0:
		return "Nothing was pasted: the text is empty."
	case len(lines) > 1 && !list:
		return fmt.Sprintf("Nothing was pasted: the text has %d lines, and this input takes one.", len(lines))
	}
	text = strings.Join(lines, ", ")
	if list && in.Value() != "" && !strings.HasSuffix(strings.TrimSpace(in.Value()), ",") && in.Position() == utf8.RuneCountInString(in.Value()) {
		text = ", " + text
	}
	if refusal = in.insert(text, false); refusal != "" {
		return "Nothing was pasted: " + refusal
	}
	return ""
}

// insert puts text at the cursor, or returns why it does not. A typed joiner may wait for the letter after it.
func (in *lineInput) insert(text string, typed bool) (refusal string) {
	before, added, at := []rune(in.Value()), []rune(text), in.Position()
	whole := slices.Concat(before[:at], added, before[at:])
	if len(whole) > maxInput {
		return fmt.Sprintf("this input takes %d characters, and would have %d.", maxInput, len(whole))
	}
	shown := []rune(core.VisibleText(string(whole)))
	for i := at; i < at+len(added); i++ {
		if r := whole[i]; r == utf8.RuneError || shown[i] != r && !(typed && dependsOnNeighbors(r)) {
			return fmt.Sprintf("this input does not take %s. Give the text without it.", characterName(r))
		}
	}
	in.SetValue(string(whole))
	in.SetCursor(at + len(added))
	return ""
}

func characterName(r rune) string {
	if r == '\t' {
		return "a tab"
	}
	return fmt.Sprintf("the character %U", r)
}

// dependsOnNeighbors is true for what is visible in the right place only: joiners, variation selectors and tags.
func dependsOnNeighbors(r rune) bool {
	return r == '\u200C' || r == '\u200D' || unicode.Is(unicode.Variation_Selector, r) || r >= 0xE0020 && r <= 0xE007F
}

// splitPasted returns the lines of a text that are not empty; the blanks around them are kept where there is
// one line. Terminals send a line break as CR.
func splitPasted(text string) []string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\r\n\v\f\u0085\u2028\u2029", r) })
	if len(lines) < 2 {
		return lines
	}
	var out []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
