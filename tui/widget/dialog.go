package widget

import (
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/tui/theme"
)

// InputResult is what a key did on a dialog or a prompt.
type InputResult int

// The results.
const (
	StillOpen InputResult = iota
	Canceled
	Confirmed
)

// Field is one input line.
type Field struct {
	Label string
	Value string             // the initial text
	Hint  string             // shown while the field is empty
	Check func(string) error // nil: any text is valid

	Choices []string // the only values; nil: a text is typed

	TakesList bool // of values between commas; pasted lines become values
}

// DialogSpec is the content of a dialog.
type DialogSpec struct {
	Title        string
	Lines        []string                     // paragraphs
	Command      func(values []string) string // the equivalent command line, "" for none; may be nil
	Fields       []Field
	ConfirmLabel string // the button's text; "" for a message without a choice
	Dangerous    bool   // draws the button in the color of danger

	Validate func(values []string) error // checks the fields together; nil: no check
}

// Dialog is a modal dialog. Cancel has the focus unless there are fields. Until
// AcceptKeys it takes only Esc, because keys typed before it opened must not answer it.
type Dialog struct {
	spec        DialogSpec
	inputs      []lineInput
	focus       int // the inputs come first, then Cancel, then Confirm
	acceptsKeys bool
	fieldError  string
	scroll      Scroll // of the body
}

// NewDialog creates a dialog that accepts only Esc yet.
func NewDialog(spec DialogSpec) *Dialog {
	d := &Dialog{spec: spec, scroll: Scroll{DownKey: "PgDn"}} // the arrows move the focus
	for _, f := range spec.Fields {
		in := newLineInput(f.Value)
		in.Placeholder = f.Hint
		d.inputs = append(d.inputs, in)
	}
	d.setFocus(0)
	return d
}

// AcceptKeys lets keys answer from now on.
func (d *Dialog) AcceptKeys() { d.acceptsKeys = true }

// AcceptsKeys is true once keys answer.
func (d *Dialog) AcceptsKeys() bool { return d.acceptsKeys }

// Values are the trimmed texts of the fields.
func (d *Dialog) Values() []string {
	out := make([]string, len(d.inputs))
	for i, in := range d.inputs {
		out[i] = strings.TrimSpace(in.Value())
	}
	return out
}

func (d *Dialog) setFocus(i int) {
	last := len(d.inputs)
	if d.spec.ConfirmLabel != "" {
		last++
	}
	d.focus = (i + last + 1) % (last + 1)
	for j := range d.inputs {
		if j == d.focus {
			d.inputs[j].Focus()
		} else {
			d.inputs[j].Blur()
		}
	}
}

// HandleKey handles one key.
func (d *Dialog) HandleKey(k tea.KeyPressMsg) InputResult {
	key := k.String()
	if key == "esc" {
		return Canceled
	}
	if !d.acceptsKeys {
		return StillOpen
	}
	switch key {
	case "tab", "down":
		d.setFocus(d.focus + 1)
		return StillOpen
	case "shift+tab", "up":
		d.setFocus(d.focus - 1)
		return StillOpen
	case "pgup", "pgdown":
		d.scroll.HandleKey(key)
		return StillOpen
	case "enter":
		return d.handleEnter()
	}
	if d.focus < len(d.inputs) && d.spec.Fields[d.focus].Choices != nil {
		d.choose(key)
		return StillOpen
	}
	if d.focus < len(d.inputs) {
		d.fieldError = Sentence(d.inputs[d.focus].handleKey(k))
		return StillOpen
	}
	return d.handleButtonKey(key)
}

// choose takes the next or the former value of a choice, or the first that begins with a letter.
func (d *Dialog) choose(key string) {
	in, all := &d.inputs[d.focus], d.spec.Fields[d.focus].Choices
	at := slices.Index(all, in.Value())
	switch key {
	case "space", "right":
		at = (at + 1) % len(all)
	case "left":
		at = (max(at, 0) + len(all) - 1) % len(all)
	default:
		at = slices.IndexFunc(all, func(c string) bool { return strings.HasPrefix(c, key) })
		if at < 0 {
			d.fieldError = "This is " + JoinChoices(all) + ": space changes it."
			return
		}
	}
	d.fieldError = ""
	in.SetValue(all[at])
	in.CursorEnd()
}

// JoinChoices returns "yes, no or later".
func JoinChoices(all []string) string {
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

func (d *Dialog) handleButtonKey(key string) InputResult {
	switch key {
	case "left", "right", "h", "l":
		d.setFocus(len(d.inputs) + (d.focus-len(d.inputs)+1)%2)
	case "n", "q":
		return Canceled
	case "y":
		if d.spec.ConfirmLabel != "" && len(d.inputs) == 0 {
			return Confirmed
		}
	}
	return StillOpen
}

func (d *Dialog) handleEnter() InputResult {
	switch {
	case d.focus < len(d.inputs) && d.inputs[d.focus].goOn():
		d.fieldError = ""
		return StillOpen
	case d.focus < len(d.inputs):
		if d.checkField(d.focus) {
			if d.focus+1 == len(d.inputs) {
				d.setFocus(d.focus + 2)
			} else {
				d.setFocus(d.focus + 1)
			}
		}
		return StillOpen
	case d.focus == len(d.inputs):
		return Canceled
	}
	for i := range d.inputs {
		if !d.checkField(i) {
			d.setFocus(i)
			return StillOpen
		}
	}
	if d.spec.Validate != nil {
		if err := d.spec.Validate(d.Values()); err != nil {
			d.fieldError = err.Error()
			d.setFocus(0)
			return StillOpen
		}
	}
	return Confirmed
}

func (d *Dialog) checkField(i int) bool {
	d.fieldError = ""
	if c := d.spec.Fields[i].Check; c != nil {
		if err := c(d.Values()[i]); err != nil {
			d.fieldError = err.Error()
			return false
		}
	}
	return true
}

// HandlePaste inserts text into the focused field, or says there why it does not.
func (d *Dialog) HandlePaste(text string) {
	if d.acceptsKeys && d.focus < len(d.inputs) && d.spec.Fields[d.focus].Choices != nil {
		d.choose(strings.ToLower(strings.TrimSpace(text)))
		return
	}
	if d.acceptsKeys && d.focus < len(d.inputs) {
		d.fieldError = d.inputs[d.focus].paste(text, d.spec.Fields[d.focus].TakesList)
	}
}

// View draws the dialog into at most w by h cells, frame included.
func (d *Dialog) View(t theme.Theme, w, h int) string {
	inner := max(10, min(w-6, 86))
	var body []string
	for _, p := range d.spec.Lines {
		for _, l := range Wrap(GroupCounts(Sanitize(p)), inner) {
			body = append(body, t.Paint(theme.Plain, l))
		}
	}
	var command []string
	for _, l := range Wrap(d.commandLine(), inner) {
		command = append(command, t.Paint(theme.Dim, l))
	}
	foot := append(d.drawFields(t, inner), d.drawButtons(t, inner))
	height := h - 2 - len(foot)
	if len(command) > height/2 { // a loop over many users: it scrolls with the body
		body, command = append(body, command...), nil
	}
	body = append(d.scroll.VisibleLines(t, body, height-len(command)), command...)
	return drawFrame(t, d.spec.Title, append(body, foot...), inner)
}

// Click answers with the button at a place of a screen of w by h cells, as its key does.
func (d *Dialog) Click(t theme.Theme, w, h, x, y int) InputResult {
	lines := strings.Split(ansi.Strip(d.View(t, w, h-2)), "\n")
	line := len(lines) - 2 // above the frame
	x, y = x-max(0, (w-Width(lines[0]))/2), y-max(0, (h-len(lines))/2)
	if !d.acceptsKeys || y != line {
		return StillOpen
	}
	for i, label := range []string{"Cancel", d.spec.ConfirmLabel} {
		if d.spec.ConfirmLabel == "" {
			label = "Close"
		}
		before, _, found := strings.Cut(lines[line], "[ "+label+" ]")
		if from := Width(before); found && x >= from && x < from+Width(label)+4 {
			d.setFocus(len(d.inputs) + i)
			return d.handleEnter()
		}
	}
	return StillOpen
}

// commandLine is the command that the fields describe now.
func (d *Dialog) commandLine() string {
	if line := d.Command(); line != "" {
		return "Same as: " + line
	}
	return ""
}

// Command is the command that the fields describe now, on one line however long it is; "" for none.
func (d *Dialog) Command() string {
	if d.spec.Command == nil {
		return ""
	}
	return Sanitize(d.spec.Command(d.Values()))
}

// Text is the title and the paragraphs.
func (d *Dialog) Text() string {
	return strings.Join(append([]string{d.spec.Title}, d.spec.Lines...), "\n")
}

// minInputWidth is the least number of visible cells of an input.
const minInputWidth = 24

func (d *Dialog) drawFields(t theme.Theme, inner int) []string {
	if len(d.inputs) == 0 {
		return []string{""}
	}
	label := 0
	for _, f := range d.spec.Fields {
		label = max(label, Width(f.Label)+1)
	}
	label = min(label, max(4, inner-minInputWidth-3)) // a long label must leave space for the input
	out := []string{""}
	for i := range d.inputs {
		styleInput(t, &d.inputs[i].Model)
		d.inputs[i].setWidth(max(4, inner-label-3))
		tone := theme.Dim
		if i == d.focus {
			tone = theme.Accent
		}
		out = append(out, t.Paint(tone, PadRight(Truncate(t, Sanitize(d.spec.Fields[i].Label), label), label))+" "+d.drawInput(t, i))
	}
	if d.fieldError == "" {
		return append(out, "")
	}
	for _, l := range Wrap(Sanitize(d.fieldError), inner) {
		out = append(out, t.Paint(theme.Warn, l))
	}
	return out
}

// drawInput is the input of a field, or its choice with the key that changes it.
func (d *Dialog) drawInput(t theme.Theme, i int) string {
	choices := d.spec.Fields[i].Choices
	if choices == nil {
		return d.inputs[i].View()
	}
	text := t.Paint(theme.Strong, d.inputs[i].Value())
	if i == d.focus {
		text += t.Paint(theme.Dim, "   space: "+JoinChoices(choices))
	}
	return text
}

func styleInput(t theme.Theme, in *textinput.Model) {
	s := textinput.StyleState{Text: t.Style(theme.Strong), Placeholder: t.Style(theme.Faint), Prompt: t.Style(theme.Accent)}
	in.SetStyles(textinput.Styles{Focused: s, Blurred: s, Cursor: textinput.CursorStyle{Blink: false, Color: t.Style(theme.Accent).GetForeground()}})
}

func (d *Dialog) drawButtons(t theme.Theme, inner int) string {
	button := func(i int, label string, tone theme.Tone) string {
		s := "[ " + label + " ]"
		if i == d.focus {
			return t.SelectedRow.Inherit(t.Style(tone)).Render(s)
		}
		return t.Paint(tone, s)
	}
	if d.spec.ConfirmLabel == "" {
		return PadLeft(button(len(d.inputs), "Close", theme.Accent), inner)
	}
	tone := theme.Accent
	if d.spec.Dangerous {
		tone = theme.Bad
	}
	s := button(len(d.inputs), "Cancel", theme.Accent) + "  " + button(len(d.inputs)+1, d.spec.ConfirmLabel, tone)
	return PadLeft(s, inner)
}

func drawFrame(t theme.Theme, title string, body []string, inner int) string {
	b := t.Glyphs.Border
	title = Truncate(t, Sanitize(title), inner-2)
	top := t.Frame.Render(b[0]+" ") + t.Paint(theme.Strong, title) + t.Frame.Render(" "+strings.Repeat(b[1], max(0, inner-Width(title)))+b[2])
	out := []string{top}
	for _, l := range body {
		out = append(out, t.Frame.Render(b[3])+" "+PadRight(Truncate(t, l, inner), inner)+" "+t.Frame.Render(b[3]))
	}
	return strings.Join(append(out, t.Frame.Render(b[4]+strings.Repeat(b[1], inner+2)+b[5])), "\n")
}
