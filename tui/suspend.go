package tui

import (
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/theme"
)

// Suspender stops the process as Ctrl-Z does, until a shell continues it.
type Suspender interface {
	CanSuspend() bool
	Suspend() error // an error: it was not stopped
}

// jobSignalMsg is a signal of a shell or of another process: stop, or continue.
type jobSignalMsg struct{ stops bool }

type resumedMsg struct{ stopped bool }

// suspend gives the terminal back and stops the process. Without a shell that could continue it,
// the console says so and stays: Bubble Tea's own command would wait without end.
func (m *Model) suspend() tea.Cmd {
	s := m.cfg.Suspender
	return func() tea.Msg {
		if s == nil || !s.CanSuspend() {
			return resumedMsg{stopped: false}
		}
		return tea.Exec(outsideConsole(s.Suspend), func(err error) tea.Msg { return resumedMsg{stopped: err == nil} })()
	}
}

// handleJobSignal stops the process, or takes the terminal again after another process stopped it:
// a shell has used the screen and changed the terminal's modes since.
func (m *Model) handleJobSignal(msg jobSignalMsg) tea.Cmd {
	if msg.stops {
		return m.suspend()
	}
	return tea.Exec(outsideConsole(func() error { return nil }), nil)
}

func (m *Model) handleResumed(msg resumedMsg) {
	if !msg.stopped {
		m.showToast(theme.Warn, "Ctrl-Z does nothing here: no shell waits that could continue the console. "+m.keyName("q")+" quits.")
	}
}

// outsideConsole is a function that runs while the terminal is given back.
type outsideConsole func() error

// rendererStopTime is how long Bubble Tea's renderer may take to stop its ticker, which it does after
// it was told to stop. If the renderer starts again before, the ticker stays stopped and nothing is drawn any more.
const rendererStopTime = 50 * time.Millisecond

// Run calls the function.
func (f outsideConsole) Run() error {
	<-time.After(rendererStopTime)
	return f()
}

// SetStdin does nothing: the function reads nothing.
func (outsideConsole) SetStdin(io.Reader) {}

// SetStdout does nothing: the function writes nothing.
func (outsideConsole) SetStdout(io.Writer) {}

// SetStderr does nothing.
func (outsideConsole) SetStderr(io.Writer) {}
