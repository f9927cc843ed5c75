package tuitest

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/tui"
)

// Harness runs the model synchronously: no goroutine, no clock, no terminal. The
// screen depends only on the cluster state and the keys.
type Harness struct {
	Model   *tui.Model
	HasQuit bool // it was told to quit
	pending []tea.Cmd
}

// NewHarness creates a console of w by h cells that has polled everything once.
func NewHarness(cfg tui.Config, width, height int) *Harness {
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return Now }
	}
	h := &Harness{Model: tui.New(cfg)}
	h.Send(tea.WindowSizeMsg{Width: width, Height: height})
	h.Tick()
	return h
}

// Send gives the model a message and keeps the resulting command.
func (h *Harness) Send(msg tea.Msg) {
	if _, cmd := h.Model.Update(msg); cmd != nil {
		h.pending = append(h.pending, cmd)
	}
}

// Tick polls everything once more and lets the console take the new snapshot.
func (h *Harness) Tick() {
	h.Model.Feed().PollOnce(context.Background())
	h.Send(tui.TickMsg{})
}

// Settle runs the pending commands (a dialog's delay, an action) and their
// results.
func (h *Harness) Settle() {
	for range 20 {
		if len(h.pending) == 0 {
			return
		}
		h.Step()
	}
}

// DropPending discards the pending commands: their answers never come.
func (h *Harness) DropPending() { h.pending = nil }

// PendingMessages runs the pending commands and returns their messages without
// sending them to the model.
func (h *Harness) PendingMessages() []tea.Msg {
	var out []tea.Msg
	for _, c := range h.pending {
		out = append(out, c())
	}
	h.pending = nil
	return out
}

// Step runs the pending commands, but not those that result from them.
func (h *Harness) Step() {
	cmds := h.pending
	h.pending = nil
	for _, c := range cmds {
		switch msg := c().(type) {
		case nil:
		case tea.BatchMsg:
			h.pending = append(h.pending, msg...)
		case tea.QuitMsg:
			h.HasQuit = true
		default:
			if _, isTick := msg.(tui.TickMsg); !isTick {
				h.Send(msg)
			}
		}
	}
}

// Press sends keys by their Bubble Tea names; any other text is typed rune by
// rune.
func (h *Harness) Press(keys ...string) {
	for _, k := range keys {
		for _, p := range keyPresses(k) {
			h.Send(p)
		}
		h.Tick()
	}
}

var namedKeys = map[string]tea.Key{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight},
	"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd},
	"space": {Code: tea.KeySpace, Text: " "}, "backspace": {Code: tea.KeyBackspace}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+y": {Code: 'y', Mod: tea.ModCtrl},
}

func keyPresses(k string) []tea.KeyPressMsg {
	if key, ok := namedKeys[k]; ok {
		return []tea.KeyPressMsg{tea.KeyPressMsg(key)}
	}
	var out []tea.KeyPressMsg
	for _, r := range k {
		out = append(out, tea.KeyPressMsg{Code: r, Text: string(r)})
	}
	return out
}

// Screen is the visible text, without colors and trailing blanks.
func (h *Harness) Screen() string {
	lines := strings.Split(ansi.Strip(h.Model.View().Content), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}
