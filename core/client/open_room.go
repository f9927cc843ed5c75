package client

import (
	"context"

	"unibus/core"
	"unibus/core/control"
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
		r, err = r.waitOpen(ctx)
		return r, true, err
	}
	info, err := request(ctx, c, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return c.api.Room(ctx, id) })
	if err != nil {
		return nil, false, err
	}
	if info.Role == "" {
		return nil, false, core.Errorf(core.KindRefused, "%s is not a member of the room %s", c.me.Short(), id).WithNext("ask the room's owner for an invitation")
	}
	r, l, err := c.newRoom(id)
	if err != nil {
		return nil, false, err
	}
	return c.start(ctx, r, l, makers)
}

// start opens a room, unless another goroutine does: then it waits for that one.
func (c *Client) start(ctx context.Context, r *Room, l *roomLoop, trusted []core.UserID) (_ *Room, others bool, _ error) {
	other, err := c.register(r, l, trusted)
	if err != nil {
		return nil, false, err
	}
	if other != nil {
		r, err := other.waitOpen(ctx)
		return r, true, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	r.failed = r.reconciled(ctx, func(ctx context.Context, w *reconciler) error { return w.open(ctx) })
	if over := r.view.Load().over; over != nil { // it was ended while it began, and that is why it failed
		r.failed = over
	}
	close(r.opened)
	if r.failed == nil {
		return r, false, nil
	}
	if err := r.close(r.failed); err != nil {
		c.log.Warn("the state of a room could not be saved", "room", r.id, "error", err)
	}
	return nil, false, r.failed
}

// waitOpen waits until a room that another goroutine opens is open. One that is
// over is an error, and then nothing of it is left.
func (r *Room) waitOpen(ctx context.Context) (*Room, error) {
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
	err := r.failed
	if err == nil {
		err = r.view.Load().over
	}
	if err == nil {
		return r, nil
	}
	if err := wait(r.ended, "closed"); err != nil {
		return nil, err
	}
	return nil, err
}
