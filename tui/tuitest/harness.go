package tuitest

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/tui"
)

// Still is a console that stands still: no goroutine, no clock, no terminal.
// What it shows depends on the world and the keys alone.
type Still struct {
	Model *tui.Model
	Left  bool // it was told to quit
	cmds  []tea.Cmd
}

// NewStill makes a console of w by h cells that has heard everything once.
func NewStill(cfg tui.Config, w, h int) *Still {
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return Now }
	}
	s := &Still{Model: tui.New(cfg)}
	s.Send(tea.WindowSizeMsg{Width: w, Height: h})
	s.Tick()
	return s
}

// Send gives the model a message and keeps the command that came of it.
func (s *Still) Send(msg tea.Msg) {
	if _, cmd := s.Model.Update(msg); cmd != nil {
		s.cmds = append(s.cmds, cmd)
	}
}

// Tick hears everything once more and lets the console take it up.
func (s *Still) Tick() {
	s.Model.Feed().PollOnce(context.Background())
	s.Send(s.Model.TickMsg())
}

// Settle runs what commands are waiting (a dialog's pause, an action) and what comes of them.
func (s *Still) Settle() {
	for range 20 {
		if len(s.cmds) == 0 {
			return
		}
		s.Step()
	}
}

// Drop forgets the commands that are waiting: what they wait for never comes.
func (s *Still) Drop() { s.cmds = nil }

// Messages runs the commands that are waiting and returns what comes of them,
// which the console does not hear.
func (s *Still) Messages() []tea.Msg {
	var out []tea.Msg
	for _, c := range s.cmds {
		out = append(out, c())
	}
	s.cmds = nil
	return out
}

// Step runs the commands that are waiting, and not what comes of them.
func (s *Still) Step() {
	cmds := s.cmds
	s.cmds = nil
	for _, c := range cmds {
		switch msg := c().(type) {
		case nil:
		case tea.QuitMsg:
			s.Left = true
		default:
			if !s.Model.IsTick(msg) {
				s.Send(msg)
			}
		}
	}
}

// Press gives keys, named as Bubble Tea names them; what is not a name is typed rune by rune.
func (s *Still) Press(keys ...string) {
	for _, k := range keys {
		for _, p := range presses(k) {
			s.Send(p)
		}
		s.Tick()
	}
}

var named = map[string]tea.Key{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight},
	"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd},
	"space": {Code: tea.KeySpace, Text: " "}, "backspace": {Code: tea.KeyBackspace}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl},
}

func presses(k string) []tea.KeyPressMsg {
	if key, ok := named[k]; ok {
		return []tea.KeyPressMsg{tea.KeyPressMsg(key)}
	}
	var out []tea.KeyPressMsg
	for _, r := range k {
		out = append(out, tea.KeyPressMsg{Code: r, Text: string(r)})
	}
	return out
}

// Screen is what is shown, without colours and without blanks at the ends of lines.
func (s *Still) Screen() string {
	lines := strings.Split(ansi.Strip(s.Model.View().Content), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}
