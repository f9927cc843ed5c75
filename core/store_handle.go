package core

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ErrElsewhere is the cause of a reason (StoreHandle.Empty) that lasts until an operator
// changes it: another node has the control plane. A caller need not wait here.
var ErrElsewhere = errors.New("the control plane is at another node")

// StoreHandle publishes the store in force to its callers: the authenticator and
// the services. It denies while it is empty. Readers never wait; a cutover changes
// the store that they see next.
type StoreHandle struct {
	slot atomic.Pointer[slot]

	mu      sync.Mutex // serializes Publish and Empty with the calls of watch
	watches []func(serves bool)
}

type slot struct {
	store  Store
	reason *Error
}

// Publish makes s the store in force.
func (h *StoreHandle) Publish(s Store) { h.set(&slot{store: s}) }

// Empty removes the store; reason is the error of Store meanwhile.
func (h *StoreHandle) Empty(reason *Error) { h.set(&slot{reason: reason}) }

// Watch calls f with the present state and then at every change, in order, from
// the goroutine that makes the change.
func (h *StoreHandle) Watch(f func(serves bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watches = append(h.watches, f)
	cur := h.slot.Load()
	f(cur != nil && cur.store != nil)
}

func (h *StoreHandle) set(next *slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slot.Store(next)
	for _, f := range h.watches {
		f(next.store != nil)
	}
}

// Store returns the published store, or a KindUnavailable error that says why there is none.
func (h *StoreHandle) Store() (Store, error) {
	cur := h.slot.Load()
	switch {
	case cur == nil, cur.store == nil && cur.reason == nil:
		return nil, Errorf(KindUnavailable, "this node serves no control plane yet")
	case cur.store == nil:
		return nil, cur.reason
	}
	return cur.store, nil
}

// Admit asks the published store; without one, or with an error, the admission is empty.
func (h *StoreHandle) Admit(ctx context.Context, id UserID) (Admission, error) {
	s, err := h.Store()
	if err != nil {
		return Admission{}, err
	}
	a, err := s.Admit(ctx, id)
	if err != nil {
		return Admission{}, err
	}
	return a, nil
}
