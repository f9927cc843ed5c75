package terminal

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"

	"unibus/core"
)

// restoreTimeout bounds the write that leaves the alternate screen. Its only reader may be hung.
const restoreTimeout = 100 * time.Millisecond

// Terminal is a terminal that a console has taken over. Open remembers how it was.
type Terminal struct {
	in, out *os.File
	before  *term.State

	closed   atomic.Bool   // the console may write no more
	gone     chan struct{} // closed once the terminal has hung up
	markOnce sync.Once

	jobSignals chan os.Signal // stop and continue, from outside
	suspending atomic.Bool
}

// Open remembers the modes of the terminal. It changes nothing yet. KindFailed.
func Open(in, out *os.File) (*Terminal, error) {
	before, err := term.GetState(in.Fd())
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the modes of the terminal cannot be read: %w", err)
	}
	return &Terminal{in: in, out: out, before: before, gone: make(chan struct{}), jobSignals: make(chan os.Signal, 4)}, nil
}

// Gone is closed once the terminal has hung up. A program that ignores SIGHUP learns it from nothing else.
func (t *Terminal) Gone() <-chan struct{} { return t.gone }

func (t *Terminal) markGone() { t.markOnce.Do(func() { close(t.gone) }) }

// Input returns the file to read keys from.
func (t *Terminal) Input() *Input { return &Input{t.in, t} }

// Output returns the file to draw to.
func (t *Terminal) Output() *Output { return &Output{t.out, t} }

// Input is the terminal's input. Bubble Tea ignores its end, so Read notes it.
type Input struct {
	*os.File
	terminal *Terminal
}

// Read notes the end of the terminal.
func (i *Input) Read(p []byte) (int, error) {
	n, err := i.File.Read(p)
	if err != nil {
		i.terminal.markGone()
	}
	return n, err
}

// Output is the terminal's output. Nothing is written after Restore: a frame would
// land on the screen of the shell.
type Output struct {
	*os.File
	terminal *Terminal
}

// Write notes the end of the terminal.
func (o *Output) Write(p []byte) (int, error) {
	if o.terminal.closed.Load() {
		return 0, os.ErrClosed
	}
	n, err := o.File.Write(p)
	if err != nil {
		o.terminal.markGone()
	}
	return n, err
}

// WriteString is Write; os.File has one of its own.
func (o *Output) WriteString(s string) (int, error) { return o.Write([]byte(s)) }

// Restore takes the terminal away from a console that does not give it back. It drops the output
// that no program has read, because the sequences that leave the alternate screen would wait behind it.
func (t *Terminal) Restore() {
	t.closed.Store(true)
	_ = term.Restore(t.in.Fd(), t.before) // best effort: the terminal may be gone
	discardOutput(t.out.Fd())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = t.out.WriteString(resetSequence())
	}()
	select {
	case <-done:
	case <-time.After(restoreTimeout):
	}
}

// resetSequence undoes what a console may have set. CAN and ST end a sequence that was cut off.
func resetSequence() string {
	return "\x18\x1b\\" + ansi.ResetModeSynchronizedOutput + ansi.ResetStyle +
		ansi.ResetModifyOtherKeys + ansi.PopKittyKeyboard(1) +
		ansi.ResetModeAltScreenSaveCursor + ansi.SetModeTextCursorEnable + ansi.ResetModeBracketedPaste +
		ansi.ResetModeFocusEvent + ansi.ResetModeMouseButtonEvent + ansi.ResetModeMouseAnyEvent + ansi.ResetModeMouseExtSgr +
		ansi.ResetModeUnicodeCore + ansi.SetWindowTitle("")
}
