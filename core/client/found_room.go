package client

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// FoundAnew founds an encrypted room that was created before members signed, or that came
// from a legacy database. The caller is its owner, and signs that these are its members, in
// these roles. Show Room.Members to the owner first, and give the members whom the owner
// knows. The nodes remove those who are left out. The room has a new key then, for these
// members alone. Nothing is sent in such a room before.
//
// KindConflict says that the members are others by now: read and confirm them again.
// KindExists says that the room has a chain. The cause seal.ErrFork says that the node shows
// another founding than the caller's. With another error beside a room, the room
// is founded and its key is still to be made: any member who has the key before makes it.
func (c *Client) FoundAnew(ctx context.Context, room core.RoomID, members []control.Member) (*Room, error) {
	r, err := c.Room(ctx, room)
	if err != nil {
		return nil, err
	}
	switch {
	case !r.Encrypted():
		return nil, core.Errorf(core.KindRefused, "the room %s is not encrypted: its members sign nothing", room)
	case r.view.Load().signed:
		return nil, signedError(room)
	}
	req, mark, err := c.signFounding(room, members)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	founded := false
	err = r.runJob(ctx, func(ctx context.Context, w *reconciler) error {
		if founded, err = w.sendFounding(ctx, req, mark); err != nil {
			return err
		}
		if err := w.follow(ctx); err != nil && !isBoxError(err) {
			return err
		}
		return w.rekey(ctx, seal.ReasonOther)
	})
	if !founded {
		return nil, err
	}
	return r, err
}

// signFounding signs the founding of a room with its members.
func (c *Client) signFounding(room core.RoomID, members []control.Member) (req control.FoundAnewRequest, mark seal.MembershipMark, err error) {
	people := map[core.UserID]core.MemberRole{}
	for _, m := range members {
		switch _, twice := people[m.User]; {
		case m.Room != room:
			return req, mark, core.Errorf(core.KindInvalid, "%s is a member of the room %.64s, not of %s", m.User.Short(), m.Room, room)
		case twice:
			return req, mark, core.Errorf(core.KindInvalid, "%s is among the members twice", m.User.Short())
		}
		people[m.User] = m.Role
	}
	people[c.me] = core.MemberOwner
	snapshot, err := seal.MakeSnapshot(room, true, people)
	if err != nil {
		return req, mark, err
	}
	m, err := seal.MakeFounding(seal.FoundingConfig{Room: room, By: c.id, At: core.MillisOf(time.Now()), Encrypted: true, Snapshot: snapshot})
	if err != nil {
		return req, mark, err
	}
	return control.FoundAnewRequest{Room: string(room), Founding: m.Statements(0)[0], Snapshot: snapshot}, m.Mark(), nil
}

// sendFounding has a node found the room, and saves what this user has founded: no node can
// show another founding. The reconciler reads no statements meanwhile, so no other founding
// comes before it.
func (w *reconciler) sendFounding(ctx context.Context, req control.FoundAnewRequest, mark seal.MembershipMark) (founded bool, err error) {
	if w.isSigned() {
		return false, signedError(w.room.id)
	}
	_, err = sendRetrying(ctx, w.c, idempotent, func(ctx context.Context) (control.ChainHead, error) { return w.c.api.FoundAnew(ctx, req) })
	if err != nil {
		return false, err
	}
	w.room.do(func(l *roomLoop) { l.saved.Members, l.unsaved = &mark, true })
	w.keyStateUnsaved = true
	return true, w.save()
}

func signedError(room core.RoomID) error {
	return core.Errorf(core.KindExists, "the members of the room %s sign its changes already", room)
}

// TrustFounder follows the founding of a room that its owner has founded anew, and opens the
// room. The client of a member who has not signed in such a room follows nothing of it
// before, and sends nothing (ErrFounder): a node can show a founding by anybody. The event
// Founded and the error name the founder who is shown. Ask that person first, not by way of
// this cluster. It holds for this process; once the founding was followed, it is remembered
// with the room. With an error beside a room, the room is open. KindConflict says that the
// founding that is followed is by another user.
func (c *Client) TrustFounder(ctx context.Context, room core.RoomID, founder core.UserID) (*Room, error) {
	if parsed, err := core.ParseUserID(string(founder)); err != nil || parsed != founder {
		return nil, core.Errorf(core.KindInvalid, "%.60q is no user", founder)
	}
	if _, err := core.ParseRoomID(string(room)); err != nil {
		return nil, err
	}
	if err := c.checkOpen(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.founders[room] = founder
	c.mu.Unlock()
	r, err := c.Room(ctx, room)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	defer r.wake()
	err = r.runJob(ctx, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
	if err != nil && !isBoxError(err) {
		return r, err
	}
	r.members.use(func(m *seal.Membership) {
		if m == nil || !m.FoundedAnew() {
			return
		}
		if by, _ := m.Founder(); by != founder {
			err = core.Errorf(core.KindConflict, "the room %s was founded anew by %s, and that is followed: not by %s", room, by, founder.Short())
		}
	})
	return r, err
}

// founderOf is the founder of a room whom the program has named, or "".
func (c *Client) founderOf(room core.RoomID) core.UserID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.founders[room]
}

// unconfirmedFounding is the founding that a node has shown last and that is not followed. It
// is not read again before something has changed: a large room has much to read.
type unconfirmedFounding struct {
	head     seal.MembershipHead // that the node named
	named    core.UserID         // by the program, at that time
	founding seal.Hash
	err      error
}

// still is the error while neither the node's head nor the founder whom the program names is another one.
func (u *unconfirmedFounding) still(head seal.MembershipHead, named core.UserID) error {
	if u.head != head || u.named != named {
		return nil
	}
	return u.err
}

// confirmFounding checks that the program has named the founder of a chain that nothing else
// binds to what this user knows: any node can make one with this user in it.
func (w *reconciler) confirmFounding(m *seal.Membership, head seal.MembershipHead) error {
	founder, _ := m.Founder()
	named := w.c.founderOf(w.room.id)
	if founder != "" && founder == named {
		w.unconfirmed = unconfirmedFounding{}
		return nil
	}
	err := newFault(core.KindRefused, ErrFounder, "the node shows that %s has founded the room %s anew, and nothing that %s knows proves it", founder, w.room.id, w.c.me.Short()).
		WithNext("ask that person whether they founded the room, then use Client.TrustFounder with that id")
	shown := w.unconfirmed.founding
	w.unconfirmed = unconfirmedFounding{head, named, m.Mark().Founding, err}
	if shown != m.Mark().Founding {
		w.c.events.emit(Founded{Room: w.room.id, By: founder, Members: len(m.People())})
	}
	return err
}
