package terminal

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"unibus/core"
)

// continueTimeout is how long the signal that continues this process may be on its way to Suspend.
const continueTimeout = 300 * time.Millisecond

// WatchJobSignals passes signals that stop and continue this process to f until stop is called.
// The console must be the one to obey the first: the kernel would leave the terminal in raw mode.
func (t *Terminal) WatchJobSignals(f func(os.Signal)) (stop func()) {
	done := make(chan struct{})
	signal.Notify(t.jobSignals, syscall.SIGTSTP, syscall.SIGCONT)
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-t.jobSignals:
				if !t.suspending.Load() { // else Suspend waits for it
					f(s)
				}
			}
		}
	}()
	return func() {
		signal.Stop(t.jobSignals)
		close(done)
	}
}

// CanSuspend is true if a shell waits for this process group, which can continue it.
func (t *Terminal) CanSuspend() bool { return shellWaits() }

// Suspend stops the process group as Ctrl-Z does, and returns once it is continued. The signal is
// SIGSTOP, because Go keeps its handler of SIGTSTP after Notify. It stops a process that nobody
// can continue, too: KindRefused without a shell.
func (t *Terminal) Suspend() error {
	if !shellWaits() {
		return core.Errorf(core.KindRefused, "no shell waits for this console")
	}
	t.suspending.Store(true)
	defer t.suspending.Store(false)
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if err := syscall.Kill(0, syscall.SIGSTOP); err != nil {
		return core.Errorf(core.KindFailed, "this process cannot be stopped: %w", err)
	}
	select {
	case <-continued:
	case <-time.After(continueTimeout):
	}
	return nil
}
