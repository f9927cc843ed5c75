package node

import (
	"context"
	"sync"
	"time"

	"unibus/core"
)

// background is a part's goroutines, which end together.
type background struct {
	cancel context.CancelFunc // nil before start
	work   sync.WaitGroup
}

// start returns the context of goroutines that are started with run.
func (b *background) start() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	return ctx
}

func (b *background) run(f func()) { b.work.Go(f) }

// stop ends the goroutines and waits for them. Without a start it does nothing.
func (b *background) stop() {
	if b.cancel == nil {
		return
	}
	b.cancel()
	b.work.Wait()
}

// sleep ends early with ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// signal fills a channel with a buffer of one: whoever waits there goes on.
func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// repeat calls f at once and then at each core.UntilTick, until ctx ends.
func repeat(ctx context.Context, every time.Duration, f func()) {
	for ctx.Err() == nil {
		f()
		sleep(ctx, core.UntilTick(every))
	}
}
