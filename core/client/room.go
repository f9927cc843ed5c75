package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

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
// nothing is sent in the room while it lasts. A member without the key signs a key
// request, and publishes byte 0xFF and "unibus.client.plea.v1" in the room, which is no
// envelope of core/seal. A member with the key checks that the sender is a member,
// waits a little for members of a higher role, and gives it.
//
// The members of an encrypted room sign every change of its members (core/seal), and an
// open Room follows these statements. A user whom only a node calls a member gets no
// key and is not read; a Suspicion whose cause is seal.ErrRight tells of it. In a room
// that was created before members signed, nothing is sent until its owner founds it
// anew (Client.FoundAnew) and the others have named that owner (Client.TrustFounder). Sections 9 and 11.10 of core/seal/DESIGN.md have what is not protected.
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

	members memberChain
	signing chan struct{} // a token while a call of this process signs statements and sends them

	view     atomic.Pointer[roomView]
	changed  *broadcast    // the view is another one
	removals atomic.Uint64 // by this process, of members with the key; see roomView.removalsRead

	saving  sync.Mutex    // held while the room's file is written: an older state must not follow a newer one
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
	saved.Encrypted = saved.Encrypted || c.cfg.EncryptedOnly
	r := &Room{
		c: c, id: id, subject: auth.RoomSubject(id, string(c.me)),
		calls: make(chan call), messages: make(chan batch), jobs: make(chan job), wakeup: make(chan struct{}, 1),
		ended: make(chan struct{}), opened: make(chan struct{}), changed: newBroadcast(), signing: make(chan struct{}, 1),
	}
	l := &roomLoop{
		c: c, room: r, saved: saved, marks: map[core.UserID]core.Millis{}, came: map[core.UserID]core.Millis{},
		receiver: seal.NewReceiver(seal.ReceiverConfig{Room: id}),
		members:  map[core.UserID]*memberStatus{}, unknown: map[core.UserID]bool{}, keyRequests: map[core.UserID]keyRequest{},
		answered: map[core.UserID]time.Time{}, requestTimes: map[core.UserID]core.Millis{},
	}
	if h := saved.Heard; h != nil {
		l.fresh.newest, l.fresh.by = h.Time, h.By
	}
	if c.dir.crashed {
		l.crashed, l.crashedEpoch = core.MillisOf(time.Now()), l.saved.epoch()
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
	c.work.Go(func() { r.saveMarks(life) })
	return nil, nil
}

// save writes the room's state to disk, unless it is there. Any goroutine but the room's may
// call it: what was followed is on disk before it is used. Once the room is over, only its
// reconciler saves, for the last time; the file is then free for the next one.
func (r *Room) save(last bool) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	var state roomState
	var unsaved bool
	r.do(func(l *roomLoop) {
		if last || l.over == nil {
			state, unsaved = l.stateToSave()
		}
	})
	if !unsaved {
		return nil
	}
	err := r.c.dir.saveRoom(r.id, state)
	if err != nil {
		r.do(func(l *roomLoop) { l.unsaved = true })
	}
	return err
}

// saveMarks saves what has changed from time to time. It waits for no node: after a crash,
// what was delivered since the last save could be repeated.
func (r *Room) saveMarks(life context.Context) {
	t := time.NewTicker(saveMarksEvery)
	defer t.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-t.C:
		}
		if err := errors.Join(r.save(false), r.c.dir.savePeers()); err != nil {
			r.c.log.Warn("the state of a room could not be saved", "room", r.id, "error", err)
		}
	}
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
// or ErrUnlinked), a founder whom the program has not named (ErrFounder), the nodes refuse this user (ErrRefused), or the room is over. Nil
// if nothing is wrong.
func (r *Room) Err() error {
	v := r.view.Load()
	if v.over != nil {
		return v.over
	}
	return v.fault
}
