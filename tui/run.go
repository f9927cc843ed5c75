package tui

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/terminal"
)

// fps bounds the delay between a key and its effect: 13 ms. Each frame that nothing changes still wakes the
// process. New data is drawn on the slower drawInterval.
const fps = 75

// endTimeout bounds how long Bubble Tea may take to give the terminal back. It waits without
// end for a terminal that has no reader.
const endTimeout = 600 * time.Millisecond

// Run shows the console until the operator quits or ctx ends. Both return nil.
// opts replace the terminal: input, output, size, environment.
func Run(ctx context.Context, cfg Config, opts ...tea.ProgramOption) error {
	m, p := Program(ctx, cfg, opts...)
	feedCtx, stop := context.WithCancel(ctx)
	defer stop()
	go m.RunFeed(feedCtx)
	_, err := p.Run()
	return runError(ctx, err)
}

func runError(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return core.Errorf(core.KindFailed, "the console stopped: %w", err).
		WithNext("`unibus-tui status` prints the same without a terminal")
}

// RunIn is Run in a terminal of the kernel. It also returns once the terminal is gone. After the
// end was asked for it returns within endTimeout, and the terminal is as it was. The caller handles
// signals, and exits: a part that hangs keeps its goroutine.
func RunIn(ctx context.Context, cfg Config, t *terminal.Terminal) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	quit, noteQuit := watchQuit()
	cfg.Suspender = t
	m, p := Program(ctx, cfg, tea.WithInput(t.Input()), tea.WithOutput(t.Output()), tea.WithoutSignalHandler(), noteQuit)
	go m.RunFeed(ctx)
	defer t.WatchJobSignals(func(s os.Signal) { go p.Send(jobSignalMsg{stops: s == syscall.SIGTSTP}) })()
	done := make(chan error, 1)
	go func() {
		_, err := p.Run()
		done <- err
	}()
	select {
	case err := <-done:
		return runError(ctx, err)
	case <-ctx.Done():
	case <-t.Gone():
		end()
	case <-quit:
	}
	select {
	case err := <-done:
		return runError(ctx, err)
	case <-time.After(endTimeout):
		t.Restore()
		return nil
	}
}

// watchQuit returns a channel that is closed once the operator quits, and the option that closes it.
func watchQuit() (<-chan struct{}, tea.ProgramOption) {
	quit, once := make(chan struct{}), sync.Once{}
	return quit, tea.WithFilter(func(_ tea.Model, msg tea.Msg) tea.Msg {
		if _, ok := msg.(tea.QuitMsg); ok {
			once.Do(func() { close(quit) })
		}
		return msg
	})
}

// Program creates a console and its Bubble Tea program for callers that run the
// feed themselves.
func Program(ctx context.Context, cfg Config, opts ...tea.ProgramOption) (*Model, *tea.Program) {
	m := New(cfg)
	all := append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithFPS(fps)}, opts...)
	return m, tea.NewProgram(m, all...)
}
