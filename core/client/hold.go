package client

import (
	"slices"
	"time"

	"unibus/core"
)

// arrived is a message that waits until it is known what to make of it: for the
// keys of an epoch, or for word of its sender.
type arrived struct {
	sender core.UserID
	data   []byte
	at     time.Time
	reads  uint64 // of the room, when it came
}

// Bounds of what waits so.
const (
	maxHeld      = 16_384
	maxHeldBytes = 8 << 20
)

func (r *Room) waits(sender core.UserID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.held, func(a arrived) bool { return a.sender == sender })
}

// readSince says that the room was read after the message came, and its key is here.
func (r *Room) readSince(a arrived) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sender != nil && r.reads > a.reads+1
}

// hold keeps a message for later. Beyond the bounds the oldest is given out as it is.
func (r *Room) hold(a arrived) {
	r.mu.Lock()
	r.held = append(r.held, a)
	r.heldSize += len(a.data)
	var out []arrived
	for len(r.held) > maxHeld || r.heldSize > maxHeldBytes {
		out = append(out, r.held[0])
		r.heldSize -= len(r.held[0].data)
		r.held = r.held[1:]
	}
	r.mu.Unlock()
	for range out {
		r.deliver(delivery{err: &SlowError{r.id, 1}, msg: Message{Room: r.id}})
	}
	r.kick()
}

// release looks again at what waits, in the order in which it came. A sender of
// whom one has to wait on keeps all that came later waiting.
func (r *Room) release() (waiting int) {
	r.rx.Lock()
	defer r.rx.Unlock()
	r.mu.Lock()
	held := r.held
	r.held, r.heldSize, r.releasing = nil, 0, true
	r.mu.Unlock()
	var rest []arrived
	behind := map[core.UserID]bool{}
	for _, a := range held {
		if behind[a.sender] || !r.settle(a, true) {
			behind[a.sender] = true
			rest = append(rest, a)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range rest {
		r.heldSize += len(a.data)
	}
	r.held, r.releasing = append(rest, r.held...), false
	return len(r.held)
}
