package tuitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"unibus/tui"
)

// Terminal runs the real console in a terminal emulator.
type Terminal struct {
	display
	input   *inputQueue
	record  recording
	program *tea.Program
	stop    context.CancelFunc
	done    chan struct{}
	err     error
}

// StartTerminal runs a console in a terminal of w by h cells. Close ends it.
func StartTerminal(cfg tui.Config, w, h int) *Terminal {
	t := &Terminal{input: newInputQueue(), done: make(chan struct{})}
	t.open(w, h)
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	m, p := tui.Program(ctx, cfg, tea.WithInput(t.input), tea.WithOutput(t), tea.WithWindowSize(w, h),
		tea.WithColorProfile(colorprofile.TrueColor), tea.WithEnvironment([]string{"TERM=xterm-256color", "LANG=C.UTF-8"}), tea.WithoutSignalHandler())
	t.program = p
	go m.RunFeed(ctx)
	go t.forwardReplies(t.input.put)
	go func() {
		defer close(t.done)
		_, t.err = p.Run()
	}()
	return t
}

// Write takes the program's output. Like a terminal driver it turns LF into CRLF.
func (t *Terminal) Write(p []byte) (int, error) {
	shown := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	t.record.add(shown)
	return len(p), t.show(shown)
}

// Resize changes the window size.
func (t *Terminal) Resize(w, h int) {
	t.lock.Lock()
	t.width, t.height = w, h
	t.emulator.Resize(max(1, w), max(1, h))
	t.lock.Unlock()
	t.program.Send(tea.WindowSizeMsg{Width: w, Height: h})
}

var keySequences = map[string]string{
	"enter": "\r", "esc": "\x1b", "tab": "\t", "shift+tab": "\x1b[Z", "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
	"pgup": "\x1b[5~", "pgdown": "\x1b[6~", "home": "\x1b[H", "end": "\x1b[F", "space": " ", "backspace": "\x7f", "ctrl+c": "\x03", "ctrl+z": "\x1a",
}

// Press types keys: names as in Harness, any other text as it is.
func (t *Terminal) Press(keys ...string) {
	for _, k := range keys {
		if r, ok := keySequences[k]; ok {
			k = r
		}
		t.input.put([]byte(k))
	}
}

// Done is closed once the program has ended.
func (t *Terminal) Done() <-chan struct{} { return t.done }

// Close ends the program. It returns the program's error if it ended by itself.
func (t *Terminal) Close() error {
	running := true
	select {
	case <-t.done:
		running = false
	default:
	}
	t.stop()
	<-t.done
	t.input.close()
	if c, ok := t.emulator.InputPipe().(io.Closer); ok {
		_ = c.Close() // ends forwardReplies; a pipe's Close does not fail
	}
	if running {
		return nil
	}
	return t.err
}

// Type sends keys to the program itself: names as in Harness. The error says that it did not take them in time.
func (t *Terminal) Type(within time.Duration, keys ...string) error {
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for _, k := range keys {
			for _, p := range keyPresses(k) {
				t.program.Send(p)
			}
		}
	}()
	select {
	case <-taken:
		return nil
	case <-time.After(within):
		return fmt.Errorf("the console did not take its keys within %s", within)
	}
}
