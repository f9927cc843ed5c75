package client

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/seal"
)

// NewRoom says what room to make.
type NewRoom struct {
	ID        core.RoomID // "": one is made up
	Name      string      // for people; "": none
	Encrypted bool
}

// CreateRoom makes a room that this user owns and opens it; an encrypted one has
// its first key then. KindExists where there is one of that id, KindRefused
// where this user is in as many as one can be in.
func (c *Client) CreateRoom(ctx context.Context, n NewRoom) (*Room, error) {
	if n.ID == "" {
		n.ID = control.NewRoomID()
	}
	req := control.CreateRequest{ID: string(n.ID), Encrypted: n.Encrypted}
	if n.Name != "" {
		req.Name = &n.Name
	}
	if _, err := core.ParseRoomID(req.ID); err != nil {
		return nil, err
	}
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	tries := 0
	made, err := request(ctx, c, idempotent, func(ctx context.Context) (core.Room, error) {
		tries++
		r, err := c.api.CreateRoom(ctx, req)
		if tries > 1 && core.KindOf(err) == core.KindExists { // by the try before
			if r, e := c.api.Room(ctx, n.ID); e == nil && r.Room.Owner == c.me && r.Room.State == core.RoomActive {
				return r.Room, nil
			}
		}
		return r, err
	})
	if err == nil && made.Encrypted != n.Encrypted { // and nothing is noted of it
		err = core.Errorf(core.KindExists, "there is a room %s already, and it is encrypted: %v", n.ID, made.Encrypted).WithNext("use another id")
	}
	if err != nil {
		return nil, err
	}
	if err := c.dir.encrypts(n); err != nil {
		return nil, err
	}
	return c.Room(ctx, n.ID)
}

// hasOpened says that the client is open, or was, so that what Open found may be looked at.
func (c *Client) hasOpened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

func (c *Client) checkOpen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == ended:
		return closedError("client")
	case c.state < opened:
		return core.Errorf(core.KindInvalid, "the client is not open").WithNext("call Open first")
	}
	return nil
}

// Rooms lists this user's rooms, in the order of their ids.
func (c *Client) Rooms(ctx context.Context) ([]core.Room, error) {
	return requestOpen(ctx, c, readOnly, func(ctx context.Context) ([]core.Room, error) { return c.api.Rooms(ctx) })
}

// Room opens a room of which this user is a member; one that is open already is
// the same. It returns once the node lets this user hear and speak. What a node
// shows of the room's keys is checked: an error whose cause is a seal.Fault says
// what does not fit. A room whose key nobody has given to this user yet is no
// error; Send waits for it. KindRefused where this user is no member.
func (c *Client) Room(ctx context.Context, id core.RoomID) (*Room, error) {
	return c.RoomTrusting(ctx, id)
}

// RoomTrusting is Room for a room whose keys went on without this user: epochs
// that these makers have made are followed although nothing here shows that they
// were members; see ErrUnlinked, and Room.Trust for a room that is open.
func (c *Client) RoomTrusting(ctx context.Context, id core.RoomID, makers ...core.UserID) (*Room, error) {
	if _, err := core.ParseRoomID(string(id)); err != nil {
		return nil, err
	}
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	for {
		r, others, err := c.room(ctx, id, makers)
		if others && core.KindOf(err) == core.KindUnavailable && ctx.Err() == nil && c.checkOpen() == nil {
			continue // another goroutine has given it up, or is through with it; this one is not
		}
		return r, err
	}
}

// room opens a room. others says that another goroutine has the room, and the error is about that.
func (c *Client) room(ctx context.Context, id core.RoomID, makers []core.UserID) (r *Room, others bool, err error) {
	c.mu.Lock()
	r = c.rooms[id]
	c.mu.Unlock()
	if r != nil {
		r, err = r.isOpen(ctx)
		return r, true, err
	}
	info, err := request(ctx, c, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return c.api.Room(ctx, id) })
	if err != nil {
		return nil, false, err
	}
	if info.Role == "" {
		return nil, false, core.Errorf(core.KindRefused, "%s is not a member of the room %s", c.me.Short(), id).WithNext("ask the room's owner for an invitation")
	}
	if r, err = c.newRoom(id); err != nil {
		return nil, false, err
	}
	for _, u := range makers {
		r.trust[u] = true
	}
	return c.start(ctx, r)
}

func (c *Client) newRoom(id core.RoomID) (*Room, error) {
	m, err := c.dir.room(id)
	if err != nil {
		return nil, err
	}
	r := &Room{
		c: c, id: id, subject: auth.RoomSubject(id, string(c.me)), wake: make(chan struct{}, 1), changed: newBroadcast(), turn: make(chan struct{}, 1), hearing: make(chan struct{}, 1),
		chain: seal.NewChain(id), trust: map[core.UserID]bool{}, memory: m, marks: map[core.UserID]core.Millis{},
		people: map[core.UserID]*standing{}, unknown: map[core.UserID]bool{}, pleas: map[core.UserID]keyRequest{},
		stop: func() {}, opened: make(chan struct{}), gone: make(chan struct{}),
		receiver: seal.NewReceiver(seal.ReceiverConfig{Room: id}),
	}
	if c.dir.crashed {
		r.stale = core.Millis(2 * saveMarksEvery.Milliseconds())
	}
	if m.Head != nil {
		r.chain = seal.ResumeChain(*m.Head)
	}
	return r, nil
}

// start opens a room, unless another goroutine does: then it waits for that one.
func (c *Client) start(ctx context.Context, r *Room) (_ *Room, others bool, _ error) {
	c.mu.Lock()
	other := c.rooms[r.id]
	if other == nil && c.state != ended {
		c.rooms[r.id] = r
	}
	over := c.state == ended
	c.mu.Unlock()
	switch {
	case over:
		return nil, false, closedError("client")
	case other != nil:
		r, err := other.isOpen(ctx)
		return r, true, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	life, stop := context.WithCancel(c.life)
	defer context.AfterFunc(life, cancel)()
	r.mu.Lock()
	r.stop = stop
	r.mu.Unlock()
	r.failed = r.begin(ctx)
	if r.failed == nil && !c.spawn(func() { r.tend(life) }) {
		r.failed = closedError("client")
	}
	r.mu.Lock()
	if r.over != nil { // it was ended while it began, and that is why it failed
		r.failed = r.over
	}
	r.mu.Unlock()
	close(r.opened)
	if r.failed != nil {
		r.end(r.failed)
		return nil, false, r.failed
	}
	return r, false, nil
}

// begin waits until the session has the room, listens, and follows the keys.
func (r *Room) begin(ctx context.Context) error {
	if err := r.permitted(ctx); err != nil {
		return err
	}
	if err := r.subscribe(ctx); err != nil {
		return err
	}
	if r.Encrypted() {
		if err := r.hear(ctx); err != nil {
			return err
		}
	}
	return r.first(ctx)
}

// isOpen waits until a room that another goroutine opens is open. One that is
// over is an error, and then nothing of it is left.
func (r *Room) isOpen(ctx context.Context) (*Room, error) {
	wait := func(done <-chan struct{}, what string) error {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return core.Errorf(core.KindUnavailable, "the room %s is being %s: %s", r.id, what, errorText(ctx.Err()))
		}
	}
	if err := wait(r.opened, "opened"); err != nil {
		return nil, err
	}
	r.mu.Lock()
	err := r.over
	r.mu.Unlock()
	if r.failed != nil {
		err = r.failed
	}
	if err == nil {
		return r, nil
	}
	if err := wait(r.gone, "closed"); err != nil {
		return nil, err
	}
	return nil, err
}

// subscribe has the service's events come: the node knows it when it returns.
func (r *Room) subscribe(ctx context.Context) error {
	sub, err := r.c.nc.Subscribe(control.EventSubject(r.id), r.told)
	if err != nil {
		return r.deaf(err)
	}
	r.mu.Lock()
	r.events = sub
	over := r.over
	r.mu.Unlock()
	if over != nil {
		_ = sub.Unsubscribe()
		return over
	}
	return r.permitted(ctx)
}

func (r *Room) deaf(err error) error {
	return core.Errorf(core.KindUnavailable, "the room %s cannot be listened to: %s", r.id, errorText(err))
}

// hear has the messages come too, from when it returns, or where there is no
// session then, from the next one on. It is called where somebody reads, and in
// an encrypted room, where members ask each other for keys and count what is
// said: to who only speaks in a plain room all the others would be sent for nothing.
func (r *Room) hear(ctx context.Context) error {
	select {
	case r.hearing <- struct{}{}:
		defer func() { <-r.hearing }()
	case <-ctx.Done():
		return r.deaf(ctx.Err())
	}
	if err := r.listenToAll(); err != nil || r.known {
		return err
	}
	r.mu.Lock()
	events := r.events
	r.mu.Unlock()
	if r.c.session.current.Load() == 0 { // the next session begins with what is listened to now
		_ = events.Unsubscribe()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.flushTimeout)
	defer cancel()
	r.known = r.c.nc.FlushWithContext(ctx) == nil // or the next caller waits
	_ = events.Drain()                            // from here on the events come between the messages, in order
	return nil
}

// listenToAll subscribes to all that is said, once.
func (r *Room) listenToAll() error {
	r.mu.Lock()
	hears, over := r.sub != nil, r.over
	r.mu.Unlock()
	if hears || over != nil {
		return over
	}
	sub, err := r.c.nc.Subscribe(auth.RoomSubject(r.id, "*"), r.arrive)
	if err == nil {
		err = sub.SetPendingLimits(r.c.cfg.Pending, r.c.cfg.PendingBytes)
	}
	if err != nil {
		return r.deaf(err)
	}
	r.mu.Lock()
	r.sub, over = sub, r.over
	r.mu.Unlock()
	if over != nil {
		_ = sub.Unsubscribe()
	}
	return over
}

// permitted waits until the node lets this user hear and speak in the room: the
// session in which a room is gained ends, and the next one has it.
func (r *Room) permitted(ctx context.Context) error {
	for {
		changed := r.c.session.changes()
		session, err := r.c.session.wait(ctx)
		if err != nil {
			return err
		}
		ok, err := r.probe(ctx)
		if err == nil && ok {
			r.mu.Lock()
			r.session = session
			r.mu.Unlock()
			r.changed.notify()
			return nil
		}
		t := time.NewTimer(probeAgain) // what a session may is decided when it begins
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return core.Errorf(core.KindUnavailable, "the node does not let %s into the room %s yet", r.c.me.Short(), r.id).
				WithNext("try again: it takes a moment after an invitation")
		}
		t.Stop()
	}
}

// probe asks the node whether the session has the room: a subscription to a
// subject below it, where nobody speaks, is refused where it has not.
func (r *Room) probe(ctx context.Context) (bool, error) {
	sub, err := r.c.nc.SubscribeSync(auth.RoomSubject(r.id, "_probe"))
	if err != nil {
		return false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.flushTimeout)
	defer cancel()
	if err := r.c.nc.FlushWithContext(ctx); err != nil {
		return false, err
	}
	_, err = sub.NextMsg(time.Nanosecond)
	return !errors.Is(err, nats.ErrPermissionViolation) && !errors.Is(err, nats.ErrConnectionClosed), nil
}

// first follows the room's keys for the first time; its owner makes the first one.
func (r *Room) first(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.pass()
	if err := r.follow(ctx); err != nil && !errors.Is(err, seal.ErrKey) { // who has lost the key that the box is for asks for another box
		return err
	}
	if r.wantsFirstKey() {
		return r.rekey(ctx, seal.ReasonFirst)
	}
	return nil
}
