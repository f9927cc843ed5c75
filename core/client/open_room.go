package client

import (
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// NewRoom describes a room to create.
type NewRoom struct {
	ID        core.RoomID // "": a random one
	Name      string      // for people; "": none
	Encrypted bool
}

// CreateRoom creates a room that this user owns, and opens it. An encrypted room
// has its first key then. KindExists if a room has that id, KindRefused if this
// user is in the maximum number of rooms, KindConflict while another call creates it. A room
// that was asked for as encrypted is opened as an encrypted one alone from then on, also if the
// node says that it exists: only accepting an invitation that shows it as plain ends that.
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
	if c.cfg.EncryptedOnly && !n.Encrypted {
		return nil, plainError(n.ID)
	}
	end, err := c.found(&req)
	if err != nil {
		return nil, err
	}
	made, refused, err := c.create(ctx, req)
	if err == nil && made.Encrypted != n.Encrypted {
		refused, err = true, core.Errorf(core.KindExists, "there is a room %s already, and it is encrypted: %v", n.ID, made.Encrypted).WithNext("use another id")
	}
	if e := end(refused); e != nil {
		err = errors.Join(err, e)
	}
	if err == nil && !n.Encrypted && c.openRoom(n.ID) == nil {
		err = c.dir.notePlain(n.ID)
	}
	if err != nil {
		return nil, err
	}
	return c.Room(ctx, n.ID)
}

// plainError is why a program that uses encrypted rooms alone has nothing to do with a room.
func plainError(room core.RoomID) error {
	return core.Errorf(core.KindRefused, "the room %s is plain, and this program uses encrypted rooms alone", room).WithNext("use an encrypted room, or a client without Config.EncryptedOnly")
}

// create asks a node for a room. refused says that no room was created: of an error that
// says nothing, or came after a lost answer, that is not known.
func (c *Client) create(ctx context.Context, req control.CreateRequest) (made core.Room, refused bool, err error) {
	tries, unclear := 0, false
	made, err = sendRetrying(ctx, c, idempotent, func(ctx context.Context) (core.Room, error) {
		tries++
		r, err := c.api.CreateRoom(ctx, req)
		if tries > 1 && core.KindOf(err) == core.KindExists { // the attempt before has created it
			if r, e := c.api.Room(ctx, core.RoomID(req.ID)); e == nil && r.Room.Owner == c.me && r.Room.State == core.RoomActive {
				return r.Room, nil
			}
		}
		unclear = unclear || err != nil && !isRefusal(err)
		return r, err
	})
	return made, err != nil && (!unclear || core.KindOf(err) == core.KindExists), err
}

// isRefusal says that a change was not done.
func isRefusal(err error) bool {
	switch core.OutcomeOf(err) {
	case core.OutcomeNone:
		return true
	case core.OutcomeUnknown:
		return false
	}
	k := core.KindOf(err)
	return k == core.KindExists || k == core.KindRefused || k == core.KindInvalid
}

// found signs the first statement about the members of an encrypted room, and saves it before a node is asked: a node that
// creates the room and says nothing of it could deny later that it is encrypted. The returned function ends the creation. Of a
// refused one it stays known that this user has asked for it as encrypted. The file of an open room is its reconciler's: the
// known state stays.
func (c *Client) found(req *control.CreateRequest) (end func(refused bool) error, err error) {
	nothing := func(bool) error { return nil }
	if !req.Encrypted {
		return nothing, nil
	}
	id := core.RoomID(req.ID)
	r := c.openRoom(id)
	if r != nil && !r.Encrypted() {
		return nil, core.Errorf(core.KindExists, "there is a room %s already, and it is not encrypted", id).WithNext("use another id")
	}
	before, err := c.dir.startCreation(id)
	if err != nil {
		return nil, err
	}
	mark, err := c.signCreation(req, before.Founding)
	if err == nil && r == nil {
		err = c.dir.noteCreation(id, before, req.Founding, mark)
	}
	if err != nil {
		c.dir.endCreation(id)
		return nil, err
	}
	return func(refused bool) error {
		defer c.dir.endCreation(id)
		if !refused || r != nil || c.openRoom(id) != nil {
			return nil
		}
		return c.dir.takeBackCreation(id, before, req.Founding)
	}, nil
}

// signCreation signs the founding of a room. One that was asked for before, and may have
// been done, is asked for again.
func (c *Client) signCreation(req *control.CreateRequest, asked []byte) (mark seal.MembershipMark, err error) {
	id := core.RoomID(req.ID)
	var m *seal.Membership
	if asked != nil {
		m, err = seal.ReadMembership(seal.MembershipSource{Room: id, Statements: [][]byte{asked}})
	} else {
		m, err = seal.MakeFounding(seal.FoundingConfig{Room: id, By: c.id, At: core.MillisOf(time.Now()), Encrypted: true})
	}
	if err != nil {
		return mark, err
	}
	req.Founding = m.Statements(0)[0]
	return m.Mark(), nil
}

// openRoom is a room that is open in this process; nil if it is not.
func (c *Client) openRoom(id core.RoomID) *Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rooms[id]
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
// node showed. A missing key is no error; Send waits for it. A box or record that a member
// has made wrongly is none either: Room.Err names it, and the member can be removed. KindRefused
// if this user is no member.
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
	if r = c.openRoom(id); r != nil {
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
