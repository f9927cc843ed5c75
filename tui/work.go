package tui

import (
	"context"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/action"
)

// work is an action under way. It stands between the action and the client, and
// notes whom it was done to: what fails at the eighth of twenty has changed seven.
type work struct {
	action.Client
	name string
	of   int // how many it is done to

	mu  sync.Mutex
	did []string
}

// bound is for an action's whole run. It grows with what there is to do.
func (w *work) bound() time.Duration { return time.Duration(max(1, w.of)) * actTimeout }

// Revoke notes who is revoked.
func (w *work) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	r, err := w.Client.Revoke(ctx, id)
	w.note(id, err)
	return r, err
}

// UserActivate notes who is active again.
func (w *work) UserActivate(ctx context.Context, id string) (core.User, error) {
	u, err := w.Client.UserActivate(ctx, id)
	w.note(id, err)
	return u, err
}

func (w *work) note(id string, err error) {
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.did = append(w.did, id)
	}
}

func (w *work) done() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.did...)
}
