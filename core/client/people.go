package client

import (
	"context"
	"maps"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// standing is what somebody is in the room, as it was read.
type standing struct {
	member bool // an active one, and not revoked as a user
	role   core.MemberRole
	at     time.Time
	stale  bool // there was no session in between: a hint may be lost
}

// outsiderFor is how long it counts that somebody is no member.
const outsiderFor = 5 * time.Second

// Bounds of what is remembered. Where nodes do not enforce, anybody can make up
// hints and senders without end.
const (
	maxHints   = 256  // of what is told as events
	maxUnknown = 1024 // who are looked up next
	maxPeople  = 1 << 16
	oneByOne   = 16 // of more than so many who are to be looked up the whole list is read
)

// standing says what is known of a sender, and has it read where nothing is. What
// was known before the session was renewed counts until it was read again.
func (r *Room) standing(user core.UserID) (known, member bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if user == r.c.me {
		return true, true
	}
	s := r.people[user]
	fresh := s != nil && !s.stale && (s.member || time.Since(s.at) < outsiderFor)
	if !fresh {
		r.lookUp(user)
	}
	return fresh || s != nil && s.member, s != nil && s.member
}

// lookUp has somebody looked up. Who finds no place is noticed again with their next message. The caller holds mu.
func (r *Room) lookUp(user core.UserID) {
	if !r.unknown[user] && len(r.unknown) < maxUnknown {
		r.unknown[user] = true
		r.kick()
	}
}

// hint notes what the service has announced. From then on nobody it is about is
// taken for what they were.
func (r *Room) hint(e control.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case control.EventMember, control.EventRevoked:
		delete(r.people, e.User)
		if _, err := core.ParseUserID(string(e.User)); err == nil {
			r.lookUp(e.User)
		}
	case control.EventBox:
		delete(r.pleas, e.User)
	}
	switch { // it comes twice where it is told as somebody begins to read
	case slices.Contains(r.hints, e):
	case len(r.hints) < maxHints:
		r.hints = append(r.hints, e)
	default:
		r.untold++
	}
	r.kick()
}

// inform reads what is to be known of people, and tells of what was hinted at.
// The caller holds the turn.
func (r *Room) inform(ctx context.Context) error {
	r.mu.Lock()
	hints := r.hints
	r.hints = nil
	var users []core.UserID
	for u := range r.unknown {
		users = append(users, u)
	}
	clear(r.unknown)
	r.mu.Unlock()
	err := r.readPeople(ctx, users)
	r.mu.Lock()
	if err != nil {
		for _, u := range users {
			r.unknown[u] = true
		}
		r.hints = append(hints, r.hints...)
		r.mu.Unlock()
		return err
	}
	untold := r.untold
	r.untold = 0
	r.mu.Unlock()
	for _, e := range hints {
		r.report(e)
	}
	if untold > 0 {
		r.c.events.emit(EventsLost{untold})
	}
	return nil
}

// readPeople reads what some users are in the room: of many with the whole list.
func (r *Room) readPeople(ctx context.Context, users []core.UserID) error {
	if len(users) <= oneByOne {
		for _, u := range users {
			m, err := request(ctx, r.c, readOnly, func(ctx context.Context) (control.Member, error) { return r.c.api.Member(ctx, r.id, u, false) })
			if err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
			r.note(u, m, err == nil)
		}
		return nil
	}
	all, err := r.Members(ctx)
	if err != nil {
		return err
	}
	in := make(map[core.UserID]control.Member, len(all))
	for _, m := range all {
		in[m.User] = m
	}
	for _, u := range users {
		m, ok := in[u]
		r.note(u, m, ok)
	}
	return nil
}

// note remembers what somebody is; outsiders are forgotten where there are too many.
func (r *Room) note(user core.UserID, m control.Member, found bool) {
	s := &standing{at: time.Now()}
	if found {
		s.member, s.role = m.Status == core.UserActive, m.Role
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.people) >= maxPeople {
		maps.DeleteFunc(r.people, func(_ core.UserID, s *standing) bool { return !s.member })
	}
	r.people[user] = s
}

// report tells of a hint, once what it is about was read.
func (r *Room) report(e control.Event) {
	r.mu.Lock()
	s := standing{}
	if p := r.people[e.User]; p != nil {
		s = *p
	}
	switch {
	case e.Kind == control.EventAsked && e.User == r.c.me:
		r.duty.asked = true
	case e.Kind == control.EventRevoked && !s.member:
		r.duty.revoked = true
	case e.Kind == control.EventMember && s.member && r.memory.Encrypted:
		r.owe(e.User, false)
	}
	r.mu.Unlock()
	switch e.Kind {
	case control.EventMember:
		r.c.events.emit(MemberChanged{Room: r.id, User: e.User, Active: s.member, Role: s.role, By: e.By})
	case control.EventRevoked:
		if !s.member {
			r.c.events.emit(UserRevoked{r.id, e.User})
		}
	case control.EventAsked:
		r.c.events.emit(RekeyAsked{r.id, e.User})
	}
}

// Members are the room's active members, in the order of their ids.
func (r *Room) Members(ctx context.Context) ([]control.Member, error) {
	return request(ctx, r.c, readOnly, func(ctx context.Context) ([]control.Member, error) { return r.c.api.Members(ctx, r.id, false) })
}

// Invite asks a user into the room; role "" is member. The invitation is pending
// until they answer it with Client.Accept or Client.Decline, and Remove takes it
// back. In an encrypted room they are given the present key once they are in, by a
// member who has it and is online: they read from that epoch on. KindRefused where
// the user is revoked, where this user may not invite, or has too many
// invitations pending; KindExists where they are a member.
func (r *Room) Invite(ctx context.Context, user core.UserID, role core.MemberRole) error {
	_, err := request(ctx, r.c, idempotent, func(ctx context.Context) (core.Member, error) {
		return r.c.api.Invite(ctx, r.id, user, role, nil)
	})
	return err
}

// Remove takes a member out of the room, and in an encrypted one makes a new key
// without them. An error may mean that they are out and the key is still to be
// made: nothing is sent here before, and any member makes it. It also withdraws an
// invitation; nobody who was only invited has the key, so then the room keeps it.
// KindRefused where this user may not.
func (r *Room) Remove(ctx context.Context, user core.UserID) error {
	joined, err := r.hasJoined(ctx, user)
	if err != nil {
		return err
	}
	tries := 0
	_, err = request(ctx, r.c, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := r.c.api.Remove(ctx, r.id, user)
		if tries > 1 && core.KindOf(err) == core.KindNotFound {
			err = nil
		}
		return m, err
	})
	if err != nil {
		return err
	}
	r.without(user, joined)
	if !r.Encrypted() {
		return nil
	}
	return r.renew(ctx, seal.ReasonRemoved, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, due := r.due(time.Now())
		return due
	})
}

// hasJoined says whether a user may have the key of an encrypted room. A member
// known to this process may, whatever a node says now. Of anybody else the node
// says it; a user who accepts after that answer counts in RoomInfo.MustRekey.
func (r *Room) hasJoined(ctx context.Context, user core.UserID) (bool, error) {
	if !r.Encrypted() {
		return false, nil
	}
	r.mu.Lock()
	s, spoke := r.people[user], r.memory.Marks[user] > 0 || r.marks[user] > 0
	r.mu.Unlock()
	if spoke || s != nil && s.member {
		return true, nil
	}
	_, err := request(ctx, r.c, readOnly, func(ctx context.Context) (control.Member, error) { return r.c.api.Member(ctx, r.id, user, false) })
	if core.KindOf(err) == core.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// without notes that a member is out, before anything else is asked or waited
// for. With the key that makes a new one due: nobody's word is needed for it, and
// what is being read or made of the room right now may be from before.
func (r *Room) without(user core.UserID, hadKey bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.people, user)
	if !hadKey {
		return
	}
	r.removals++
	if r.memory.Head != nil {
		r.spent = max(r.spent, r.memory.Head.Epoch)
	}
}

// Rekey makes a new key for the room, because the caller wants one. In an
// encrypted room that was moved from a legacy database it is the first of its
// kind: before, nothing is sent there (ErrNoKey), and nobody makes it unasked.
func (r *Room) Rekey(ctx context.Context) error {
	if !r.Encrypted() {
		return core.Errorf(core.KindRefused, "the room %s is not encrypted: it has no keys", r.id)
	}
	return r.renew(ctx, seal.ReasonAsked, func() bool { return true })
}

// renew reads the room and makes a new key if that is called for then.
func (r *Room) renew(ctx context.Context, reason seal.Reason, wanted func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, r.c.cfg.Timeout)
	defer cancel()
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.pass()
	if err := r.follow(ctx); err != nil {
		return err
	}
	if !wanted() {
		return nil
	}
	return r.rekey(ctx, reason)
}

// Leave takes this user out of the room and closes it. KindRefused for its owner,
// unless the room is archived.
func (r *Room) Leave(ctx context.Context) error {
	tries := 0
	_, err := request(ctx, r.c, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := r.c.api.Leave(ctx, r.id)
		if tries > 1 && core.KindOf(err) == core.KindRefused {
			if rooms, e := r.c.api.Rooms(ctx); e == nil && !slices.ContainsFunc(rooms, func(o core.Room) bool { return o.ID == r.id }) {
				err = nil
			}
		}
		return m, err
	})
	if err != nil {
		return err
	}
	return r.finish(membershipOverError(r.id, r.c.me))
}

// SetRole changes what a member may do; the role owner hands the room over. It is
// asked for once: KindUnavailable says that its outcome is not known.
func (r *Room) SetRole(ctx context.Context, user core.UserID, role core.MemberRole) error {
	_, err := request(ctx, r.c, once, func(ctx context.Context) (core.Member, error) { return r.c.api.SetRole(ctx, r.id, user, role) })
	r.kick()
	return err
}

// Rename gives the room another name. It is asked for once, like SetRole.
func (r *Room) Rename(ctx context.Context, name string) error {
	_, err := request(ctx, r.c, once, func(ctx context.Context) (core.Room, error) { return r.c.api.RenameRoom(ctx, r.id, name) })
	r.kick()
	return err
}

// Archive ends the room for good: nothing is changed or sent in it any more.
func (r *Room) Archive(ctx context.Context) error {
	room, err := request(ctx, r.c, idempotent, func(ctx context.Context) (core.Room, error) {
		room, err := r.c.api.ArchiveRoom(ctx, r.id)
		if core.KindOf(err) == core.KindRefused { // it is archived already, or this user may not
			if info, e := r.c.api.Room(ctx, r.id); e == nil && info.Room.State == core.RoomArchived {
				return info.Room, nil
			}
		}
		return room, err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.info.Room.State = room.State
	r.mu.Unlock()
	r.changed.notify()
	return nil
}
