package tui

import (
	"context"
	"errors"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
)

// fps bounds how long a key waits to be drawn; data is redrawn on the model's own slower clock.
const fps = 30

// Run shows the console until the operator quits or ctx ends; either is no
// error. Options replace the terminal: input, output, size, environment.
func Run(ctx context.Context, cfg Config, opts ...tea.ProgramOption) error {
	m, p := Program(ctx, cfg, opts...)
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	go m.Feed().Run(feeding)
	_, err := p.Run()
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return core.Errorf(core.KindFailed, "the console stopped: %w", err).
		WithNext("`unibus-tui status` prints the same without a terminal's help")
}

// Program is a console and the program that shows it, for those who run its feed themselves.
func Program(ctx context.Context, cfg Config, opts ...tea.ProgramOption) (*Model, *tea.Program) {
	m := New(cfg)
	all := append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithFPS(fps)}, opts...)
	return m, tea.NewProgram(m, all...)
}
