package widget

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"unibus/tui/theme"
)

// Answer is what a key made of a dialog.
type Answer int

// The answers.
const (
	Open Answer = iota
	Cancelled
	Confirmed
)

// Field is one line to fill in.
type Field struct {
	Label string
	Value string             // what stands there at first
	Hint  string             // shown while it is empty
	Check func(string) error // nil: anything goes
}

// Ask is what a dialog says and wants.
type Ask struct {
	Title   string
	Lines   []string                     // paragraphs
	Same    func(values []string) string // the command line that does the same, "" for none; nil too
	Fields  []Field
	Confirm string // the button; "" for a message that is only read
	Danger  bool   // the button is drawn as dangerous

	Whole func(values []string) error // says which fields do not go together; nil: any do
}

// Dialog interrupts. Cancel has the focus unless there is something to fill in,
// and until Arm it takes no key but Esc: keys typed before it opened do not answer it.
type Dialog struct {
	ask    Ask
	inputs []textinput.Model
	focus  int // the inputs, then Cancel, then Confirm
	armed  bool
	wrong  string
}

// NewDialog makes a dialog that is not armed yet.
func NewDialog(a Ask) *Dialog {
	d := &Dialog{ask: a}
	for _, f := range a.Fields {
		in := textinput.New()
		in.Prompt = ""
		in.Placeholder = f.Hint
		in.SetValue(f.Value)
		in.CharLimit = 256
		d.inputs = append(d.inputs, in)
	}
	d.to(0)
	return d
}

// Arm lets keys answer from now on.
func (d *Dialog) Arm() { d.armed = true }

// Armed is true once keys answer.
func (d *Dialog) Armed() bool { return d.armed }

// Values are the fields' contents without blanks around them.
func (d *Dialog) Values() []string {
	out := make([]string, len(d.inputs))
	for i, in := range d.inputs {
		out[i] = strings.TrimSpace(in.Value())
	}
	return out
}

func (d *Dialog) to(i int) {
	last := len(d.inputs)
	if d.ask.Confirm != "" {
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

// Key gives the dialog a key.
func (d *Dialog) Key(k tea.KeyPressMsg) Answer {
	key := k.String()
	if key == "esc" {
		return Cancelled
	}
	if !d.armed {
		return Open
	}
	switch key {
	case "tab", "down":
		d.to(d.focus + 1)
		return Open
	case "shift+tab", "up":
		d.to(d.focus - 1)
		return Open
	case "enter":
		return d.enter()
	}
	if d.focus < len(d.inputs) {
		d.wrong = ""
		d.inputs[d.focus], _ = d.inputs[d.focus].Update(k)
		return Open
	}
	return d.button(key)
}

func (d *Dialog) button(key string) Answer {
	switch key {
	case "left", "right", "h", "l":
		d.to(len(d.inputs) + (d.focus-len(d.inputs)+1)%2)
	case "n", "q":
		return Cancelled
	case "y":
		if d.ask.Confirm != "" && len(d.inputs) == 0 {
			return Confirmed
		}
	}
	return Open
}

func (d *Dialog) enter() Answer {
	switch {
	case d.focus < len(d.inputs):
		if d.check(d.focus) {
			if d.focus+1 == len(d.inputs) {
				d.to(d.focus + 2)
			} else {
				d.to(d.focus + 1)
			}
		}
		return Open
	case d.focus == len(d.inputs):
		return Cancelled
	}
	for i := range d.inputs {
		if !d.check(i) {
			d.to(i)
			return Open
		}
	}
	if d.ask.Whole != nil {
		if err := d.ask.Whole(d.Values()); err != nil {
			d.wrong = err.Error()
			d.to(0)
			return Open
		}
	}
	return Confirmed
}

func (d *Dialog) check(i int) bool {
	d.wrong = ""
	if c := d.ask.Fields[i].Check; c != nil {
		if err := c(d.Values()[i]); err != nil {
			d.wrong = err.Error()
			return false
		}
	}
	return true
}

// Paste puts text into the field that has the focus.
func (d *Dialog) Paste(p tea.PasteMsg) {
	if d.armed && d.focus < len(d.inputs) {
		d.inputs[d.focus], _ = d.inputs[d.focus].Update(p)
	}
}

// View draws the dialog into at most w by h cells, frame included.
func (d *Dialog) View(t theme.Theme, w, h int) string {
	inner := max(10, min(w-6, 86))
	var body []string
	for _, p := range d.ask.Lines {
		for _, l := range Wrap(Grouped(Clean(p)), inner) {
			body = append(body, t.Paint(theme.Plain, l))
		}
	}
	for _, l := range Wrap(d.same(), inner) {
		body = append(body, t.Paint(theme.Dim, l))
	}
	foot := append(d.fields(t, inner), d.buttons(t, inner))
	if room := h - 2 - len(foot); len(body) > room {
		body = append(body[:max(0, room-1)], t.Paint(theme.Dim, t.Glyphs.Ellipsis))
	}
	return frame(t, d.ask.Title, append(body, foot...), inner)
}

// same is the command line that does what the fields say now.
func (d *Dialog) same() string {
	if d.ask.Same == nil {
		return ""
	}
	line := d.ask.Same(d.Values())
	if line == "" {
		return ""
	}
	return "Same as: " + Clean(line)
}

// leastInput is how many cells of what is typed are seen at the least.
const leastInput = 24

func (d *Dialog) fields(t theme.Theme, inner int) []string {
	if len(d.inputs) == 0 {
		return []string{""}
	}
	label := 0
	for _, f := range d.ask.Fields {
		label = max(label, Width(f.Label)+1)
	}
	label = min(label, max(4, inner-leastInput-3)) // a long word may not push the input off the line
	out := []string{""}
	for i := range d.inputs {
		style(t, &d.inputs[i])
		d.inputs[i].SetWidth(max(4, inner-label-3))
		tone := theme.Dim
		if i == d.focus {
			tone = theme.Accent
		}
		out = append(out, t.Paint(tone, Pad(Cut(t, Clean(d.ask.Fields[i].Label), label), label, false))+" "+d.inputs[i].View())
	}
	if d.wrong == "" {
		return append(out, "")
	}
	for _, l := range Wrap(Clean(d.wrong), inner) {
		out = append(out, t.Paint(theme.Warn, l))
	}
	return out
}

func style(t theme.Theme, in *textinput.Model) {
	s := textinput.StyleState{Text: t.Style(theme.Strong), Placeholder: t.Style(theme.Faint), Prompt: t.Style(theme.Accent)}
	in.SetStyles(textinput.Styles{Focused: s, Blurred: s, Cursor: textinput.CursorStyle{Blink: false, Color: t.Style(theme.Accent).GetForeground()}})
}

func (d *Dialog) buttons(t theme.Theme, inner int) string {
	button := func(i int, label string, tone theme.Tone) string {
		s := "[ " + label + " ]"
		if i == d.focus {
			return t.Select.Inherit(t.Style(tone)).Render(s)
		}
		return t.Paint(tone, s)
	}
	if d.ask.Confirm == "" {
		return Pad(button(len(d.inputs), "Close", theme.Accent), inner, true)
	}
	tone := theme.Accent
	if d.ask.Danger {
		tone = theme.Bad
	}
	s := button(len(d.inputs), "Cancel", theme.Accent) + "  " + button(len(d.inputs)+1, d.ask.Confirm, tone)
	return Pad(s, inner, true)
}

func frame(t theme.Theme, title string, body []string, inner int) string {
	b := t.Glyphs.Border
	line := func(s lipgloss.Style, text string) string { return s.Render(text) }
	title = Cut(t, Clean(title), inner-2)
	top := line(t.Frame, b[0]+" ") + t.Paint(theme.Strong, title) + line(t.Frame, " "+strings.Repeat(b[1], max(0, inner-Width(title)))+b[2])
	out := []string{top}
	for _, l := range body {
		out = append(out, line(t.Frame, b[3])+" "+Pad(Cut(t, l, inner), inner, false)+" "+line(t.Frame, b[3]))
	}
	return strings.Join(append(out, line(t.Frame, b[4]+strings.Repeat(b[1], inner+2)+b[5])), "\n")
}
