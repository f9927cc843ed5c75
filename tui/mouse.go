package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// wheelRows is how many rows one step of the wheel moves.
const wheelRows = 3

// The lines of the screen above the page.
const (
	tabsLine      = 1
	firstBodyLine = 3
)

// hintSpan is where the footer shows a key, so that a click presses it.
type hintSpan struct {
	from, to int
	key      string
}

// mouseMode is what the terminal reports: nothing, unless the operator wants the mouse. Then the terminal
// itself selects text only with Shift, or with the key that it has for that.
func (m *Model) mouseMode() tea.MouseMode {
	if m.mouse {
		return tea.MouseModeCellMotion
	}
	return tea.MouseModeNone
}

func (m *Model) toggleMouse() {
	m.mouse = !m.mouse
	if m.mouse {
		m.showToast(theme.Dim, "The mouse is on: rows, wheel, pages, keys below and buttons. Shift (in some terminals Option or Fn) selects text. :mouse turns it off.")
		return
	}
	m.showToast(theme.Dim, "The mouse is off: the terminal selects text. :mouse turns it on.")
}

// handleWheel moves as the arrow keys do.
func (m *Model) handleWheel(msg tea.MouseWheelMsg) tea.Cmd {
	code := tea.KeyDown
	switch {
	case !m.mouse || m.windowTooSmall() || m.openDialog != nil || m.prompt != nil:
		return nil
	case msg.Button == tea.MouseWheelUp:
		code = tea.KeyUp
	case msg.Button != tea.MouseWheelDown:
		return nil
	}
	var cmds []tea.Cmd
	for range wheelRows {
		cmds = append(cmds, m.handleKey(tea.KeyPressMsg{Code: code}))
	}
	return tea.Batch(cmds...)
}

// handleClick presses what is under the pointer.
func (m *Model) handleClick(msg tea.MouseClickMsg) tea.Cmd {
	if !m.mouse || msg.Button != tea.MouseLeft || m.windowTooSmall() {
		return nil
	}
	footer := slices.IndexFunc(m.hints, func(h hintSpan) bool { return msg.Y == m.height-1 && msg.X >= h.from && msg.X < h.to })
	switch {
	case m.openDialog != nil:
		m.toast = toast{}
		return m.finishDialog(m.openDialog.dialog.Click(m.theme, m.width, m.height, msg.X, msg.Y))
	case m.prompt != nil:
		return nil
	case footer >= 0:
		return m.handleKey(keyPress(m.hints[footer].key))
	case msg.Y == tabsLine:
		m.clickTab(msg.X)
	case m.help == nil && m.guide == nil && m.clusters == nil && m.columns == nil && msg.Y >= firstBodyLine:
		return m.clickBody(msg.Y - firstBodyLine)
	}
	return nil
}

// clickTab opens the page whose name is there.
func (m *Model) clickTab(x int) {
	for i, label := range m.shownTabs() {
		if x -= widget.Width(label); x < 0 {
			m.help = nil
			m.showPage(i)
			return
		}
	}
}

// clickBody selects a row, and opens the one that is selected.
func (m *Model) clickBody(line int) tea.Cmd {
	p, ok := m.currentPage().(page.Clicker)
	if !ok {
		return nil
	}
	drawn := strings.Split(ansi.Strip(m.drawBody(m.renderContext())), "\n")
	if p.Click(drawn, line).Enter {
		return m.handleKey(keyPress("enter"))
	}
	return nil
}

// keyPress is the message of a key that the footer names.
func keyPress(name string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab}
	if code, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	if name == "space" {
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	}
	if plain, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: []rune(plain)[0], Mod: tea.ModCtrl}
	}
	if plain, ok := strings.CutPrefix(name, "alt+"); ok {
		return tea.KeyPressMsg{Code: []rune(plain)[0], Mod: tea.ModAlt}
	}
	if len(name) > 1 { // f1 to f12
		return tea.KeyPressMsg{Code: functionKey(name)}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

func functionKey(name string) rune {
	names := strings.Fields("f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12")
	switch i := slices.Index(names, name); {
	case i >= 0:
		return tea.KeyF1 + rune(i)
	case name == "insert":
		return tea.KeyInsert
	}
	return tea.KeyDelete
}
