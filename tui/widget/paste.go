package widget

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// maxInput bounds an input line, in characters.
const maxInput = 256

// pasteInto inserts pasted text at the cursor. It inserts nothing and says why if the text would be
// changed by that: lines that are joined are another value than the operator has copied.
// list says that the input takes several values, one a line.
func pasteInto(in *textinput.Model, text string, list bool) (refusal string) {
	lines := splitPasted(text)
	switch {
	case len(lines) == 0:
		return ""
	case len(lines) > 1 && !list:
		return fmt.Sprintf("Nothing was pasted: the text has %d lines, and this input takes one.", len(lines))
	}
	text = strings.Join(lines, ", ")
	if list && in.Value() != "" && !strings.HasSuffix(strings.TrimSpace(in.Value()), ",") && in.Position() == utf8.RuneCountInString(in.Value()) {
		text = ", " + text
	}
	if n := utf8.RuneCountInString(in.Value()) + utf8.RuneCountInString(text); n > maxInput {
		return fmt.Sprintf("Nothing was pasted: this input takes %d characters, and would have %d.", maxInput, n)
	}
	*in, _ = in.Update(tea.PasteMsg{Content: text})
	return ""
}

// splitPasted returns the lines that are not empty, safe to draw. Terminals send a line break as CR.
func splitPasted(text string) []string {
	var out []string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune("\r\n\v\f\u0085\u2028\u2029", r)
	}) {
		if line = strings.TrimSpace(Sanitize(line)); line != "" {
			out = append(out, line)
		}
	}
	return out
}
