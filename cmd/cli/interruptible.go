package cli

import (
	"context"
	"sync"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/keysource"
)

// Interruptible returns what f returns, or an error once ctx ends: f does not know ctx, and
// goes on until the process ends.
func Interruptible[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, core.Errorf(core.KindUnavailable, "interrupted: %w", context.Cause(ctx))
	}
}

// openIdentity opens an identity. A passphrase takes seconds to try on a busy machine, a
// descriptor may never end, and an agent may hang: none of that outlives ctx. A prompt gives
// the terminal back first.
func openIdentity(ctx context.Context, name string, p *Passphrase) (keys.Identity, error) {
	var prompting sync.Mutex
	ask := func(file string) ([]byte, error) {
		if p.FD == 0 {
			prompting.Lock()
			defer prompting.Unlock()
		}
		return p.Ask(file)
	}
	id, err := Interruptible(ctx, func() (keys.Identity, error) { return keysource.Open(name, ask) })
	prompting.Lock() // the prompt sees the signal by itself
	defer prompting.Unlock()
	return id, err
}
