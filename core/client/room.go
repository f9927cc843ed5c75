package client

import (
	"context"
	"sync/atomic"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/seal"
)

// Room is a room that is open in this process. Safe for use by several goroutines.
//
// Messages are delivered at most once, as everywhere on NATS without JetStream: a
// message that is sent while a receiver is away does not come later. In encrypted
// rooms Message.Missing counts the missed ones. A slow reader gets ErrSlow in the
// place of dropped messages. If the process as a whole was too slow, ErrSlow comes
// before the messages that waited then. A send-only client of a plain room does not
// subscribe to its messages.
//
// An open Room follows the room's keys (core/seal), makes a new one when one is due,
// and gives the present one to members without it. It checks everything that a node
// says about keys. A contradiction is an error whose cause is a seal.Fault, and
// nothing is sent in the room while it lasts. A member without the key publishes a
// key request in the room: byte 0xFF and "unibus.client.plea.v1", which is no
// envelope of core/seal. A member with the key checks that the sender is a member,
// waits a little for members of a higher role, and gives it.
//
// The nodes name the members. A node that adds a user of its own to a room is given
// the room's key by the next member who makes one or is asked for it, unless
// Config.Admit refuses. Section 9 of core/seal/DESIGN.md has the rest of what is not
// protected.
type Room struct {
	// One goroutine, roomLoop.run, owns the room's state. Another one, the
	// reconciler, does what takes time: requests, flushes and files. See DESIGN.md.
	c       *Client
	id      core.RoomID
	subject string // this user publishes here

	calls    chan call       // for the room's goroutine
	messages chan batch      // for the room's goroutine
	jobs     chan job        // for the reconciler
	wakeup   chan struct{}   // wakes the reconciler
	ending   <-chan struct{} // closed once the room is over
	ended    chan struct{}   // closed once nothing of the room runs and its state is on disk; it may be opened again

	view     atomic.Pointer[roomView]
	changed  *broadcast    // the view is another one
	removals atomic.Uint64 // by this process, of members with the key; see roomView.removalsRead

	opened  chan struct{} // closed once the room is open, or failed says why it is not
	failed  error
	saveErr error // of the last save; set before ended is closed
}

// call is a function for the room's goroutine.
type call struct {
	f    func(*roomLoop)
	done chan struct{} // closed once f has run and its result can be seen in the view
}

// do has the room's goroutine run f, which must not block, and waits for it. Once
// the room has ended, do returns false and f does not run.
func (r *Room) do(f func(*roomLoop)) bool {
	c := call{f, make(chan struct{})}
	select {
	case r.calls <- c:
		<-c.done
		return true
	case <-r.ended:
		return false
	}
}

// newRoom reads the saved state of a room.
func (c *Client) newRoom(id core.RoomID) (*Room, *roomLoop, error) {
	saved, err := c.dir.room(id)
	if err != nil {
		return nil, nil, err
	}
	r := &Room{
		c: c, id: id, subject: auth.RoomSubject(id, string(c.me)),
		calls: make(chan call), messages: make(chan batch), jobs: make(chan job), wakeup: make(chan struct{}, 1),
		ended: make(chan struct{}), opened: make(chan struct{}), changed: newBroadcast(),
	}
	l := &roomLoop{
		c: c, room: r, saved: saved, marks: map[core.UserID]core.Millis{},
		receiver: seal.NewReceiver(seal.ReceiverConfig{Room: id}),
		members:  map[core.UserID]*memberStatus{}, unknown: map[core.UserID]bool{}, keyRequests: map[core.UserID]keyRequest{},
	}
	if c.dir.crashed {
		l.markSlack = core.Millis(2 * saveMarksEvery.Milliseconds())
	}
	view := l.snapshot()
	r.view.Store(&view)
	return r, l, nil
}

// register starts the goroutines of a room, unless the room is open already: then
// it returns that one.
func (c *Client) register(r *Room, l *roomLoop, trusted []core.UserID) (other *Room, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch other := c.rooms[r.id]; {
	case c.state == ended:
		return nil, closedError("client")
	case other != nil:
		return other, nil
	}
	life, stop := context.WithCancel(c.life)
	r.ending, l.stop = life.Done(), stop
	reconciler := newReconciler(r, l.saved, trusted)
	c.rooms[r.id] = r
	c.work.Go(func() { l.run(reconciler.ended) })
	c.work.Go(func() { reconciler.run(life) })
	return nil, nil
}

// unregister lets the room be opened again.
func (c *Client) unregister(r *Room) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rooms[r.id] == r {
		delete(c.rooms, r.id)
	}
}

// Close ends the subscriptions. The room's state stays on disk, and this user a member.
func (r *Room) Close() error { return r.close(closedError("room")) }

// close ends the room, gives its readers the reason, and waits until its state is on disk.
func (r *Room) close(why error) error {
	r.end(why)
	<-r.ended
	return r.saveErr
}

// end ends the room without waiting for its reconciler. Calling it twice is harmless.
func (r *Room) end(why error) {
	r.do(func(l *roomLoop) { l.end(why) })
}

// wake has the reconciler reconcile the room soon.
func (r *Room) wake() {
	select {
	case r.wakeup <- struct{}{}:
	default:
	}
}

// ID is the room's id.
func (r *Room) ID() core.RoomID { return r.id }

// Info is the room as it was read last, with this user's role.
func (r *Room) Info() control.RoomInfo { return r.view.Load().info }

// Encrypted says whether the room is.
func (r *Room) Encrypted() bool { return r.view.Load().isEncrypted() }

// Epoch is the epoch in which this process sends; false while it has no key, or needs none.
func (r *Room) Epoch() (core.Epoch, bool) {
	v := r.view.Load()
	if v.sender == nil {
		return 0, false
	}
	return v.sender.Record().Epoch, true
}

// Err is why nothing is sent in the room: a contradiction (its cause is a seal.Fault
// or ErrUnlinked), the nodes refuse this user (ErrRefused), or the room is over. Nil
// if nothing is wrong.
func (r *Room) Err() error {
	v := r.view.Load()
	if v.over != nil {
		return v.over
	}
	return v.fault
}
