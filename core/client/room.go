package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/seal"
)

// Room is a room that is open in this process. Safe for use by several goroutines.
type Room struct {
	c       *Client
	id      core.RoomID
	subject string // where this user speaks
	sub     *nats.Subscription
	stop    context.CancelFunc
	wake    chan struct{} // something is to be looked at
	changed *bell
	turn    chan struct{} // held by who follows the chain or changes it

	// Of who holds the turn.
	chain *seal.Chain
	epoch *seal.EpochKey // of the chain's head; nil while there is none
	trust map[core.UserID]bool
	duty  duty

	rx       sync.Mutex // held while messages are opened, so that they stay in order
	receiver *seal.Receiver

	mu       sync.Mutex
	memory   memory
	stale    core.Millis // what is added to the marks of the process before this one
	marks    map[core.UserID]core.Millis
	dirty    bool
	info     control.RoomInfo
	session  uint64 // in which this user may speak here; 0: not known
	sender   *seal.Sender
	count    uint64 // messages of this epoch, sent and read
	reads    uint64 // times that the room was read
	fault    error
	over     error
	people   map[core.UserID]*standing
	unknown  map[core.UserID]bool // who is to be looked up
	pleas    map[core.UserID]time.Time
	hints    []control.Event
	held     []arrived
	heldSize int
	readers  map[*queue[delivery]]struct{}
}

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
	if err := c.usable(); err != nil {
		return nil, err
	}
	tries := 0
	_, err := ask(ctx, c, repeats, func(ctx context.Context) (core.Room, error) {
		tries++
		r, err := c.plane.CreateRoom(ctx, req)
		if tries > 1 && core.KindOf(err) == core.KindExists { // by the try before
			if r, e := c.plane.Room(ctx, n.ID); e == nil && r.Room.Owner == c.me {
				return r.Room, nil
			}
		}
		return r, err
	})
	if err != nil {
		return nil, err
	}
	if n.Encrypted { // from now on no node can say that it is not
		if err := c.vault.keepRoom(n.ID, memory{Encrypted: true}); err != nil {
			return nil, err
		}
	}
	return c.Room(ctx, n.ID)
}

func (c *Client) usable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == ended:
		return closed("client")
	case c.state == made || c.plane == nil:
		return core.Errorf(core.KindInvalid, "the client is not open").WithNext("call Open first")
	}
	return nil
}

// Rooms lists this user's rooms, in the order of their ids.
func (c *Client) Rooms(ctx context.Context) ([]core.Room, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	return ask(ctx, c, reads, func(ctx context.Context) ([]core.Room, error) { return c.plane.Rooms(ctx) })
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
	if err := c.usable(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	r := c.rooms[id]
	c.mu.Unlock()
	if r != nil {
		return r, nil
	}
	info, err := ask(ctx, c, reads, func(ctx context.Context) (control.RoomInfo, error) { return c.plane.Room(ctx, id) })
	if err != nil {
		return nil, err
	}
	if info.Role == "" {
		return nil, core.Errorf(core.KindRefused, "%s is not a member of the room %s", c.me.Short(), id).WithNext("ask the room's owner for an invitation")
	}
	if r, err = c.newRoom(id); err != nil {
		return nil, err
	}
	for _, u := range makers {
		r.trust[u] = true
	}
	return c.start(ctx, r)
}

func (c *Client) newRoom(id core.RoomID) (*Room, error) {
	m, err := c.vault.room(id)
	if err != nil {
		return nil, err
	}
	r := &Room{
		c: c, id: id, subject: auth.RoomSubject(id, string(c.me)), wake: make(chan struct{}, 1), changed: newBell(), turn: make(chan struct{}, 1),
		chain: seal.NewChain(id), trust: map[core.UserID]bool{}, memory: m, marks: map[core.UserID]core.Millis{},
		people: map[core.UserID]*standing{}, unknown: map[core.UserID]bool{}, pleas: map[core.UserID]time.Time{},
		readers: map[*queue[delivery]]struct{}{}, stop: func() {},
		receiver: seal.NewReceiver(seal.ReceiverConfig{Room: id}),
	}
	if c.vault.crashed {
		r.stale = core.Millis(2 * markEvery.Milliseconds())
	}
	if m.Head != nil {
		r.chain = seal.ResumeChain(*m.Head)
	}
	return r, nil
}

// start subscribes, waits until the session has the room, and follows its keys.
func (c *Client) start(ctx context.Context, r *Room) (*Room, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	c.mu.Lock()
	if other := c.rooms[r.id]; other != nil || c.state == ended {
		c.mu.Unlock()
		if other == nil {
			return nil, closed("client")
		}
		return other, nil
	}
	life, stop := context.WithCancel(c.life)
	r.stop = stop
	c.rooms[r.id] = r
	c.mu.Unlock()

	err := r.permitted(ctx)
	if err == nil {
		err = r.subscribe(ctx, life)
	}
	if err == nil {
		err = r.first(ctx)
	}
	if err != nil {
		r.finish(closed("room"))
		return nil, errors.Join(err, r.keep())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == ended {
		return nil, closed("client")
	}
	c.work.Go(func() { r.tend(life) })
	return r, nil
}

// subscribe listens from now on: the node knows it when it returns.
func (r *Room) subscribe(ctx, life context.Context) error {
	sub, err := r.c.nc.SubscribeSync(auth.RoomSubject(r.id, "*"))
	if err == nil {
		err = sub.SetPendingLimits(r.c.cfg.Pending, r.c.cfg.PendingBytes)
	}
	if err != nil {
		return core.Errorf(core.KindUnavailable, "the room %s cannot be listened to: %s", r.id, sentence(err))
	}
	r.mu.Lock()
	r.sub = sub
	over := r.over
	r.mu.Unlock()
	if over != nil {
		_ = sub.Unsubscribe()
		return over
	}
	r.c.work.Go(func() { r.read(life, sub) })
	return r.permitted(ctx)
}

// permitted waits until the node lets this user hear and speak in the room: the
// session in which a room is gained ends, and the next one has it.
func (r *Room) permitted(ctx context.Context) error {
	for {
		rung := r.c.link.rung()
		session, err := r.c.link.wait(ctx)
		if err != nil {
			return err
		}
		ok, err := r.probe(ctx)
		if err == nil && ok {
			r.mu.Lock()
			r.session = session
			r.mu.Unlock()
			r.changed.ring()
			return nil
		}
		t := time.NewTimer(sessionFor) // what a session may is decided when it begins
		select {
		case <-rung:
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
	ctx, cancel := context.WithTimeout(ctx, r.c.pace.flush)
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
	if err := r.follow(ctx); err != nil {
		return err
	}
	if r.wantsFirstKey() {
		return r.rekey(ctx, seal.ReasonFirst)
	}
	return nil
}

// take waits for the turn; pass gives it on.
func (r *Room) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "the keys of the room %s are being read: %s", r.id, sentence(ctx.Err()))
	}
}

func (r *Room) pass() { <-r.turn }

// Close stops listening to the room. Its keys stay known, and this user a member.
func (r *Room) Close() error {
	r.finish(closed("room"))
	return r.keep()
}

// finish ends everything about the room; why is what its readers are told. Twice is harmless.
func (r *Room) finish(why error) {
	r.c.mu.Lock()
	if r.c.rooms[r.id] == r {
		delete(r.c.rooms, r.id)
	}
	r.c.mu.Unlock()
	r.mu.Lock()
	first, sub := r.over == nil, r.sub
	if first {
		r.over = why
	}
	readers := r.readers
	r.readers = map[*queue[delivery]]struct{}{}
	r.mu.Unlock()
	if !first {
		return
	}
	for q := range readers {
		q.push(delivery{err: why, last: true}, 0)
	}
	r.stop()
	if sub != nil {
		_ = sub.Unsubscribe() // of a connection that is closed there is none any more
	}
	r.changed.ring()
}

// keep writes down what is known of the room.
func (r *Room) keep() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dirty {
		return nil
	}
	m := r.memory
	m.Marks = r.marksNow()
	if err := r.c.vault.keepRoom(r.id, m); err != nil {
		return err
	}
	r.dirty = false
	return nil
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
	r.changed.ring()
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
// (its cause is a seal.Fault or ErrUnlinked), or that the room is over. Nil where nothing is wrong.
func (r *Room) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		return r.over
	}
	return r.fault
}
