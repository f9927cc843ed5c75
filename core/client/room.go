package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// Room is a room that is open in this process. Safe for use by several goroutines.
type Room struct {
	c       *Client
	id      core.RoomID
	subject string             // where this user speaks
	events  *nats.Subscription // what the service says; until sub has it too
	sub     *nats.Subscription // all that is said; nil in a plain room until somebody reads
	known   bool               // the node knows of sub; of who holds hearing
	hearing chan struct{}      // held while sub is made
	stop    context.CancelFunc
	wake    chan struct{} // something is to be looked at
	changed *broadcast
	turn    chan struct{} // held by who follows the chain or changes it
	opened  chan struct{} // closed once it is open, or failed says why it is not
	failed  error
	gone    chan struct{} // closed once it is over and kept: another one may be opened

	saving  sync.Mutex // held while what is known is written; taken before mu
	retired bool       // of who holds saving: nothing of this room is written any more

	// Of who holds the turn.
	chain *seal.Chain
	epoch *seal.EpochKey // of the chain's head; nil while there is none
	trust map[core.UserID]bool
	duty  duty

	// Of who is called with what comes.
	run    []heard // what goes on together
	coming int     // how many more are there already

	overran atomic.Bool // the library has dropped messages, and it is to be seen how many

	rx       sync.Mutex // held while messages are opened, so that they stay in order
	receiver *seal.Receiver

	mu       sync.Mutex
	memory   roomState
	stale    core.Millis // what is added to the marks of the process before this one
	marks    map[core.UserID]core.Millis
	dirty    bool
	info     control.RoomInfo
	session  uint64 // in which this user may speak here; 0: not known
	sender   *seal.Sender
	count    uint64     // messages of this epoch, sent and read
	spent    core.Epoch // somebody who may have its key was removed by this process: nothing is sent in it or a lower one
	removals uint64     // by this process, in an encrypted room
	weighed  uint64     // those that the room was read after
	reads    uint64     // times that the room was read
	fault    error
	over     error
	people   map[core.UserID]*standing
	unknown  map[core.UserID]bool // who is to be looked up
	pleas    map[core.UserID]keyRequest
	hints    []control.Event
	untold   uint64 // hints beyond the bound
	held     []arrived
	heldSize int
	// what was held is looked at again: what comes meanwhile goes behind it
	releasing bool
	dropped   int // messages that the library has dropped, as far as it was told
	readers   []*queue[heard]
}

// take waits for the turn; pass gives it on.
func (r *Room) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "the keys of the room %s are being read: %s", r.id, errorText(ctx.Err()))
	}
}

func (r *Room) pass() { <-r.turn }

// Close stops listening to the room. Its keys stay known, and this user a member.
func (r *Room) Close() error {
	return r.finish(closedError("room"))
}

// end is finish where there is nobody to tell of an error.
func (r *Room) end(why error) {
	if err := r.finish(why); err != nil {
		r.c.log.Warn("what is known of a room could not be kept", "room", r.id, "error", err)
	}
}

// finish ends everything about the room and keeps what is known of it; why is
// what its readers are told. Twice is harmless. Only then may it be opened
// again: what still runs here must not write over what the next one knows.
func (r *Room) finish(why error) error {
	r.mu.Lock()
	first, subs, stop := r.over == nil, []*nats.Subscription{r.events, r.sub}, r.stop
	if first {
		r.over = why
	}
	readers := r.readers
	r.readers = nil
	r.mu.Unlock()
	if !first {
		return nil
	}
	for _, q := range readers {
		q.end(heard{made: &delivery{err: why, last: true}})
	}
	stop()
	for _, sub := range subs {
		if sub != nil {
			_ = sub.Unsubscribe() // of a connection that is closed there is none any more
		}
	}
	r.changed.notify()
	err := r.keep()
	r.saving.Lock()
	r.retired = true
	r.saving.Unlock()
	r.c.mu.Lock()
	if r.c.rooms[r.id] == r {
		delete(r.c.rooms, r.id)
	}
	r.c.mu.Unlock()
	close(r.gone)
	return err
}

// keep writes down what is known of the room. Nobody who sends or reads waits for the disk.
func (r *Room) keep() error {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	if !r.dirty || r.retired {
		r.mu.Unlock()
		return nil
	}
	m := r.memory
	m.Marks = r.marksNow()
	r.dirty = false
	r.mu.Unlock()
	err := r.c.dir.keepRoom(r.id, m)
	if err != nil {
		r.mu.Lock()
		r.dirty = true
		r.mu.Unlock()
	}
	return err
}

// denied is told that the nodes refuse this user, or, with nil, that they do not.
func (r *Room) denied(why error) {
	r.mu.Lock()
	switch {
	case why != nil && r.fault == nil:
		r.fault = why
	case why == nil && errors.Is(r.fault, ErrRefused):
		r.fault = nil
	}
	r.mu.Unlock()
	r.changed.notify()
}

// kick has the room looked at soon.
func (r *Room) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// renewed is told that the session is another one, or none.
func (r *Room) renewed() {
	r.mu.Lock()
	r.session = 0
	for _, s := range r.people {
		s.stale = true
	}
	r.mu.Unlock()
	r.changed.notify()
	r.kick()
}

// ID is the room's id.
func (r *Room) ID() core.RoomID { return r.id }

// Info is the room as it was read last, and what this user is in it.
func (r *Room) Info() control.RoomInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.info
}

// Encrypted says whether the room is.
func (r *Room) Encrypted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memory.Encrypted || r.info.Room.Encrypted
}

// Epoch is the epoch in which this process sends; false while it has no key, or needs none.
func (r *Room) Epoch() (core.Epoch, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sender == nil {
		return 0, false
	}
	return r.sender.Record().Epoch, true
}

// Err is why nothing is sent in the room: what does not fit what is known
// (its cause is a seal.Fault or ErrUnlinked), that the nodes refuse this user
// (ErrRefused), or that the room is over. Nil where nothing is wrong.
func (r *Room) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		return r.over
	}
	return r.fault
}
