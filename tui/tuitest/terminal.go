package tuitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/vt"

	"unibus/tui"
)

// Terminal runs the real console in a terminal emulator.
type Terminal struct {
	lock          sync.Mutex // guards the emulator
	emulator      *vt.Emulator
	changed       *sync.Cond
	title         string
	width, height int

	input   *inputQueue
	written atomic.Int64
	program *tea.Program
	stop    context.CancelFunc
	done    chan struct{}
	err     error
}

// StartTerminal runs a console in a terminal of w by h cells. Close ends it.
func StartTerminal(cfg tui.Config, w, h int) *Terminal {
	t := &Terminal{emulator: vt.NewEmulator(w, h), input: newInputQueue(), done: make(chan struct{}), width: w, height: h}
	t.changed = sync.NewCond(&t.lock)
	t.emulator.SetCallbacks(vt.Callbacks{Title: func(s string) { t.title = s }})
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	m, p := tui.Program(ctx, cfg, tea.WithInput(t.input), tea.WithOutput(t), tea.WithWindowSize(w, h),
		tea.WithColorProfile(colorprofile.TrueColor), tea.WithEnvironment([]string{"TERM=xterm-256color"}), tea.WithoutSignalHandler())
	t.program = p
	go m.Feed().Run(ctx)
	go t.forwardReplies()
	go func() {
		defer close(t.done)
		_, t.err = p.Run()
	}()
	return t
}

// forwardReplies passes the emulator's answers to the program as input. The queue
// is unbounded, because the emulator blocks while nobody reads its answers.
func (t *Terminal) forwardReplies() {
	buf := make([]byte, 256)
	for {
		n, err := t.emulator.Read(buf)
		t.input.put(buf[:n])
		if err != nil {
			return
		}
	}
}

// Write takes the program's output. Like a terminal driver it turns LF into CRLF.
func (t *Terminal) Write(p []byte) (int, error) {
	t.written.Add(int64(len(p)))
	t.lock.Lock()
	defer t.lock.Unlock()
	_, err := t.emulator.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	t.changed.Broadcast()
	return len(p), err
}

// Written counts the bytes that the program has written.
func (t *Terminal) Written() int64 { return t.written.Load() }

// Title is the window title.
func (t *Terminal) Title() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.title
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
	"pgup": "\x1b[5~", "pgdown": "\x1b[6~", "home": "\x1b[H", "end": "\x1b[F", "space": " ", "backspace": "\x7f", "ctrl+c": "\x03",
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

// screen is the visible text, without trailing blanks. The caller holds the lock.
func (t *Terminal) screen() string {
	var b strings.Builder
	for y := range t.height {
		var line strings.Builder
		for x := 0; x < t.width; {
			c := t.emulator.CellAt(x, y)
			if c == nil || c.Content == "" {
				line.WriteByte(' ')
				x++
				continue
			}
			line.WriteString(c.Content)
			x += max(1, c.Width)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// WaitFor waits until the screen contains a text. The error shows the screen.
func (t *Terminal) WaitFor(text string, within time.Duration) error {
	return t.Wait(fmt.Sprintf("%q", text), within, func(screen string) bool { return strings.Contains(screen, text) })
}

// Wait waits until ok returns true for the screen.
func (t *Terminal) Wait(what string, within time.Duration, ok func(screen string) bool) error {
	late := atomic.Bool{}
	timer := time.AfterFunc(within, func() {
		late.Store(true)
		t.lock.Lock()
		defer t.lock.Unlock()
		t.changed.Broadcast()
	})
	defer timer.Stop()
	t.lock.Lock()
	defer t.lock.Unlock()
	for !ok(t.screen()) {
		if late.Load() {
			return fmt.Errorf("waited %s for %s; the screen shows\n%s", within, what, t.screen())
		}
		t.changed.Wait()
	}
	return nil
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
