package tuitest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// display is a terminal emulator that tests can wait for.
type display struct {
	lock          sync.Mutex // guards the emulator
	emulator      *vt.Emulator
	changed       *sync.Cond
	title         string
	modes         map[ansi.Mode]bool // that are set
	width, height int
	written       atomic.Int64
}

func (d *display) open(w, h int) {
	d.emulator, d.width, d.height, d.modes = vt.NewEmulator(w, h), w, h, map[ansi.Mode]bool{}
	d.changed = sync.NewCond(&d.lock)
	d.emulator.SetCallbacks(vt.Callbacks{
		Title:            func(s string) { d.title = s },
		EnableMode:       func(m ansi.Mode) { d.modes[m] = true },
		DisableMode:      func(m ansi.Mode) { d.modes[m] = false },
		AltScreen:        func(on bool) { d.modes[ansi.ModeAltScreenSaveCursor] = on },
		CursorVisibility: func(on bool) { d.modes[ansi.ModeTextCursorEnable] = on },
	})
}

// forwardReplies passes the emulator's answers to the program as input. put must not block,
// because the emulator blocks while its answers are not read.
func (d *display) forwardReplies(put func([]byte)) {
	buf := make([]byte, 256)
	for {
		n, err := d.emulator.Read(buf)
		put(buf[:n])
		if err != nil {
			return
		}
	}
}

func (d *display) show(p []byte) error {
	d.written.Add(int64(len(p)))
	d.lock.Lock()
	defer d.lock.Unlock()
	_, err := d.emulator.Write(p)
	d.changed.Broadcast()
	return err
}

// Written counts the bytes that the program has written.
func (d *display) Written() int64 { return d.written.Load() }

// Title is the window title.
func (d *display) Title() string {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.title
}

// ReportsMouse is true while the program has asked for clicks.
func (d *display) ReportsMouse() bool {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.modes[ansi.ModeMouseButtonEvent]
}

// leftBehind says what a program has set in the terminal and not undone. The caller holds the lock.
func (d *display) leftBehind() string {
	var left []string
	for mode, name := range map[ansi.Mode]string{
		ansi.ModeAltScreenSaveCursor: "the alternate screen", ansi.ModeBracketedPaste: "bracketed paste",
		ansi.ModeMouseButtonEvent: "the mouse", ansi.ModeFocusEvent: "focus reports", ansi.ModeSynchronizedOutput: "synchronized output",
	} {
		if d.modes[mode] {
			left = append(left, name)
		}
	}
	if visible, known := d.modes[ansi.ModeTextCursorEnable]; known && !visible {
		left = append(left, "a hidden cursor")
	}
	return strings.Join(left, ", ")
}

// screen is the visible text, without trailing blanks. The caller holds the lock.
func (d *display) screen() string {
	var b strings.Builder
	for y := range d.height {
		var line strings.Builder
		for x := 0; x < d.width; {
			c := d.emulator.CellAt(x, y)
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

// WaitFor waits until the screen contains a text, in one line or wrapped: how long the
// addresses are that a sentence names decides where it is. The error shows the screen.
func (d *display) WaitFor(text string, within time.Duration) error {
	return d.Wait(fmt.Sprintf("%q", text), within, func(screen string) bool {
		return strings.Contains(screen, text) || strings.Contains(strings.Join(strings.Fields(screen), " "), text)
	})
}

// Wait waits until ok returns true for the screen.
func (d *display) Wait(what string, within time.Duration, ok func(screen string) bool) error {
	late := atomic.Bool{}
	timer := time.AfterFunc(within, func() {
		late.Store(true)
		d.lock.Lock()
		defer d.lock.Unlock()
		d.changed.Broadcast()
	})
	defer timer.Stop()
	d.lock.Lock()
	defer d.lock.Unlock()
	for !ok(d.screen()) {
		if late.Load() {
			return fmt.Errorf("waited %s for %s; the screen shows\n%s", within, what, d.screen())
		}
		d.changed.Wait()
	}
	return nil
}
