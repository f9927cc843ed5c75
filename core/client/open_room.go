package client

import (
	"context"

	"unibus/core"
	"unibus/core/control"
)

// NewRoom describes a room to create.
type NewRoom struct {
	ID        core.RoomID // "": a random one
	Name      string      // for people; "": none
	Encrypted bool
}

// CreateRoom creates a room that this user owns, and opens it. An encrypted room
// has its first key then. KindExists if a room has that id, KindRefused if this
// user is in the maximum number of rooms.
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
	made, err := sendRetrying(ctx, c, idempotent, func(ctx context.Context) (core.Room, error) {
		tries++
		r, err := c.api.CreateRoom(ctx, req)
		if tries > 1 && core.KindOf(err) == core.KindExists { // the attempt before has created it
			if r, e := c.api.Room(ctx, n.ID); e == nil && r.Room.Owner == c.me && r.Room.State == core.RoomActive {
				return r.Room, nil
			}
		}
		return r, err
	})
	if err == nil && made.Encrypted != n.Encrypted { // before anything of it is saved
		err = core.Errorf(core.KindExists, "there is a room %s already, and it is encrypted: %v", n.ID, made.Encrypted).WithNext("use another id")
	}
	if err != nil {
		return nil, err
	}
	if err := c.dir.noteEncrypted(n); err != nil {
		return nil, err
	}
	return c.Room(ctx, n.ID)
}

// hasOpened says that Open has succeeded, so that its results may be read.
func (c *Client) hasOpened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.openSucceeded
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
	return sendRetryingIfOpen(ctx, c, readOnly, func(ctx context.Context) ([]core.Room, error) { return c.api.Rooms(ctx) })
}

// Room opens a room of which this user is a member. For an open room it returns the
// same Room. It returns once the node lets this user receive and publish. It checks
// the room's keys: an error whose cause is a seal.Fault says which contradiction a
// node showed. A missing key is no error; Send waits for it. KindRefused if this
// user is no member.
func (c *Client) Room(ctx context.Context, id core.RoomID) (*Room, error) {
	return c.RoomTrusting(ctx, id)
}

// RoomTrusting is Room for a room whose keys changed while this user was away. It
// follows epochs of these makers although nothing here proves that they were
// members; see ErrUnlinked, and Room.Trust for an open room.
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
			continue // the other goroutine has given the room up or closed it; this one has not
		}
		return r, err
	}
}

// room opens a room. others says that another goroutine has opened it, and that the
// error is of that one.
func (c *Client) room(ctx context.Context, id core.RoomID, makers []core.UserID) (r *Room, others bool, err error) {
	c.mu.Lock()
	r = c.rooms[id]
	c.mu.Unlock()
	if r != nil {
		r, err = r.waitOpen(ctx)
		return r, true, err
	}
	info, err := sendRetrying(ctx, c, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return c.api.Room(ctx, id) })
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

// start opens a room. If another goroutine opens it, start waits for that one.
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
	r.failed = r.runJob(ctx, func(ctx context.Context, w *reconciler) error { return w.open(ctx) })
	if over := r.view.Load().over; over != nil { // it was closed meanwhile, and the job failed of that
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

// waitOpen waits until another goroutine has opened the room. If that failed, or
// the room is over, it waits until the room may be opened again.
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
