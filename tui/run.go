package tui

import (
	"context"
	"errors"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
)

// fps bounds the delay between a key and its effect. New data is drawn on the
// slower drawInterval.
const fps = 30

// Run shows the console until the operator quits or ctx ends. Both return nil.
// opts replace the terminal: input, output, size, environment.
func Run(ctx context.Context, cfg Config, opts ...tea.ProgramOption) error {
	m, p := Program(ctx, cfg, opts...)
	feedCtx, stop := context.WithCancel(ctx)
	defer stop()
	go m.Feed().Run(feedCtx)
	_, err := p.Run()
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return core.Errorf(core.KindFailed, "the console stopped: %w", err).
		WithNext("`unibus-tui status` prints the same without a terminal")
}

// Program creates a console and its Bubble Tea program for callers that run the
// feed themselves.
func Program(ctx context.Context, cfg Config, opts ...tea.ProgramOption) (*Model, *tea.Program) {
	m := New(cfg)
	all := append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithFPS(fps)}, opts...)
	return m, tea.NewProgram(m, all...)
}
