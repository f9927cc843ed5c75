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

// Term is the real console in a terminal that is not there.
type Term struct {
	mu      sync.Mutex // the emulator
	emu     *vt.Emulator
	changed *sync.Cond
	title   string
	w, h    int

	in      *queue
	written atomic.Int64
	program *tea.Program
	stop    context.CancelFunc
	done    chan struct{}
	err     error
}

// Start runs a console in a terminal of w by h cells. Close ends it.
func Start(cfg tui.Config, w, h int) *Term {
	t := &Term{emu: vt.NewEmulator(w, h), in: newQueue(), done: make(chan struct{}), w: w, h: h}
	t.changed = sync.NewCond(&t.mu)
	t.emu.SetCallbacks(vt.Callbacks{Title: func(s string) { t.title = s }})
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	m, p := tui.Program(ctx, cfg, tea.WithInput(t.in), tea.WithOutput(t), tea.WithWindowSize(w, h),
		tea.WithColorProfile(colorprofile.TrueColor), tea.WithEnvironment([]string{"TERM=xterm-256color"}), tea.WithoutSignalHandler())
	t.program = p
	go m.Feed().Run(ctx)
	go t.replies()
	go func() {
		defer close(t.done)
		_, t.err = p.Run()
	}()
	return t
}

// replies passes what the terminal answers on as input. The queue has no bound:
// an emulator that waits for its reader while it is written to would wait for ever.
func (t *Term) replies() {
	buf := make([]byte, 256)
	for {
		n, err := t.emu.Read(buf)
		t.in.put(buf[:n])
		if err != nil {
			return
		}
	}
}

// Write is the program's output. A real terminal's driver turns LF into CRLF; so does this.
func (t *Term) Write(p []byte) (int, error) {
	t.written.Add(int64(len(p)))
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.emu.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	t.changed.Broadcast()
	return len(p), err
}

// Written is how many bytes the program has written so far.
func (t *Term) Written() int64 { return t.written.Load() }

// Title is the window's title.
func (t *Term) Title() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.title
}

// Resize makes the window another size.
func (t *Term) Resize(w, h int) {
	t.mu.Lock()
	t.w, t.h = w, h
	t.emu.Resize(max(1, w), max(1, h))
	t.mu.Unlock()
	t.program.Send(tea.WindowSizeMsg{Width: w, Height: h})
}

var raw = map[string]string{
	"enter": "\r", "esc": "\x1b", "tab": "\t", "shift+tab": "\x1b[Z", "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
	"pgup": "\x1b[5~", "pgdown": "\x1b[6~", "home": "\x1b[H", "end": "\x1b[F", "space": " ", "backspace": "\x7f", "ctrl+c": "\x03",
}

// Press types keys: names as in Still, anything else as it is.
func (t *Term) Press(keys ...string) {
	for _, k := range keys {
		if r, ok := raw[k]; ok {
			k = r
		}
		t.in.put([]byte(k))
	}
}

// Screen is what is shown, without blanks at the ends of lines.
func (t *Term) Screen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.screen()
}

func (t *Term) screen() string {
	var b strings.Builder
	for y := range t.h {
		var line strings.Builder
		for x := 0; x < t.w; {
			c := t.emu.CellAt(x, y)
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

// WaitFor waits until the screen contains a text, and says what it showed instead where it does not come.
func (t *Term) WaitFor(text string, within time.Duration) error {
	return t.Wait(fmt.Sprintf("%q", text), within, func(screen string) bool { return strings.Contains(screen, text) })
}

// Wait waits until ok is true of the screen.
func (t *Term) Wait(what string, within time.Duration, ok func(screen string) bool) error {
	late := atomic.Bool{}
	timer := time.AfterFunc(within, func() {
		late.Store(true)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.changed.Broadcast()
	})
	defer timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for !ok(t.screen()) {
		if late.Load() {
			return fmt.Errorf("waited %s for %s; the screen shows\n%s", within, what, t.screen())
		}
		t.changed.Wait()
	}
	return nil
}

// Done is closed once the program has ended by itself or by Close.
func (t *Term) Done() <-chan struct{} { return t.done }

// Close ends the program and returns how it ended; nil where it ended because it was told to.
func (t *Term) Close() error {
	running := true
	select {
	case <-t.done:
		running = false
	default:
	}
	t.stop()
	<-t.done
	t.in.close()
	if c, ok := t.emu.InputPipe().(io.Closer); ok {
		_ = c.Close() // ends replies; a pipe's Close does not fail
	}
	if running {
		return nil
	}
	return t.err
}
