package client

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// memberStatus is a user's status in the room, as it was read.
type memberStatus struct {
	member bool // an active member, and not revoked as a user
	active bool // the same; in an encrypted room without statements by the node's word, which counts for nothing but events
	role   core.MemberRole
	at     time.Time
	stale  bool // the session has changed since: an event may be lost
}

// nonMemberFor is the time after which a non-member's status is read again.
const nonMemberFor = 5 * time.Second

// Bounds of the memory for users and events. In the modes off and soft any user can
// forge events and senders without end.
const (
	maxNotices = 256  // control events that are emitted
	maxUnknown = 1024 // users whose status is read next
	maxMembers = 1 << 16
	maxSingle  = 16 // for more users than these the whole list is read
)

// statusOf returns a sender's status, and has it read if it is not known or too old.
// A member of the session before counts as one until the status was read again, but nobody
// who has left by the statements: a node may hide the event of a removal.
func (l *roomLoop) statusOf(user core.UserID) (known, member bool) {
	if user == l.c.me {
		return true, true
	}
	s := l.members[user]
	if s != nil && s.member && !l.mayBeMember(user) {
		delete(l.members, user)
		s = nil
	}
	fresh := s != nil && !s.stale && (s.member || time.Since(s.at) < nonMemberFor)
	if !fresh {
		l.lookUp(user)
	}
	return fresh || s != nil && s.member, s != nil && s.member
}

// mayBeMember says whether a user whom the node calls a member may count as one: by the
// statements, or in a plain room, where the node alone decides. A room that was not read
// yet is not known to be plain.
func (l *roomLoop) mayBeMember(user core.UserID) bool {
	role, read := l.room.members.role(user)
	return role != "" || !read && l.reads > 0 && !l.isEncrypted()
}

// lookUp has the reconciler read a user's status. A user beyond the bound is looked
// up at their next message.
func (l *roomLoop) lookUp(user core.UserID) {
	if !l.unknown[user] && len(l.unknown) < maxUnknown {
		l.unknown[user] = true
		l.room.wake()
	}
}

func (r *Room) noteEvent(e control.Event) { r.do(func(l *roomLoop) { l.noteEvent(e) }) }

// noteEvent notes a control event. The status of its user is unknown from then on.
func (l *roomLoop) noteEvent(e control.Event) {
	switch e.Kind {
	case control.EventMember, control.EventRevoked:
		l.memberEvents++
		delete(l.members, e.User)
		if _, err := core.ParseUserID(string(e.User)); err == nil {
			l.lookUp(e.User)
		}
	case control.EventBox:
		delete(l.keyRequests, e.User)
	}
	switch { // it comes twice while a reader subscribes
	case slices.Contains(l.notices, e):
	case len(l.notices) < maxNotices:
		l.notices = append(l.notices, e)
	default:
		l.lostNotices++
	}
	l.room.wake()
}

// takeUnknown takes the users with an unknown status, and the events to emit after it was read.
func (l *roomLoop) takeUnknown() (users []core.UserID, notices []control.Event) {
	users, notices = slices.Collect(maps.Keys(l.unknown)), l.notices
	clear(l.unknown)
	l.notices = nil
	return users, notices
}

// putBack undoes takeUnknown after a failed read.
func (l *roomLoop) putBack(users []core.UserID, notices []control.Event) {
	for _, u := range users {
		l.unknown[u] = true
	}
	l.notices = append(notices, l.notices...)
}

// refreshMembers reads the status of users and emits the events about them.
func (w *reconciler) refreshMembers(ctx context.Context) error {
	var users []core.UserID
	var notices []control.Event
	w.room.do(func(l *roomLoop) { users, notices = l.takeUnknown() })
	if err := w.readMembers(ctx, users); err != nil {
		w.room.do(func(l *roomLoop) { l.putBack(users, notices) })
		return err
	}
	var lost uint64
	w.room.do(func(l *roomLoop) {
		lost, l.lostNotices = l.lostNotices, 0
		for _, e := range notices {
			l.emit(e)
		}
	})
	if lost > 0 {
		w.c.events.emit(EventsLost{lost})
	}
	return nil
}

// readMembers reads the status of users, and for many users the whole list.
func (w *reconciler) readMembers(ctx context.Context, users []core.UserID) error {
	if len(users) <= maxSingle {
		for _, u := range users {
			m, err := w.room.member(ctx, u)
			if err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
			is, e := w.isListed(ctx, u, err == nil)
			if e != nil {
				return e
			}
			w.room.do(func(l *roomLoop) { l.setStatus(u, m, err == nil, is) })
		}
		return nil
	}
	all, err := w.room.listedMembers(ctx)
	if err != nil {
		return err
	}
	in := make(map[core.UserID]control.Member, len(all))
	for _, m := range all {
		in[m.User] = m
	}
	listed := make(map[core.UserID]bool, len(users))
	for _, u := range users {
		_, found := in[u]
		if listed[u], err = w.isListed(ctx, u, found); err != nil {
			return err
		}
	}
	w.room.do(func(l *roomLoop) {
		for _, u := range users {
			m, found := in[u]
			l.setStatus(u, m, found, listed[u])
		}
	})
	return nil
}

// isListed says whether a user counts as a member: the node says so, and the
// statements lead to the user.
func (w *reconciler) isListed(ctx context.Context, user core.UserID, listed bool) (bool, error) {
	if !listed {
		return false, nil
	}
	return w.isMember(ctx, user)
}

// setStatus remembers a user's status as the node lists it, and whether that counts. At the
// bound it forgets all non-members.
func (l *roomLoop) setStatus(user core.UserID, m control.Member, listed, counts bool) {
	s := &memberStatus{at: time.Now()}
	if role, read := l.room.members.role(user); listed && (counts || !read) {
		s.active, s.role = m.Status == core.UserActive, m.Role
		if read {
			s.role = role
		}
	}
	s.member = s.active && counts
	if len(l.members) >= maxMembers {
		maps.DeleteFunc(l.members, func(_ core.UserID, s *memberStatus) bool { return !s.member })
	}
	l.members[user] = s
}

// emit emits a control event, after the status of its user was read.
func (l *roomLoop) emit(e control.Event) {
	s := memberStatus{}
	if known := l.members[e.User]; known != nil {
		s = *known
	}
	switch e.Kind {
	case control.EventMember:
		if e.Joined && s.member && l.isEncrypted() {
			l.noteKeyRequest(e.User, false, seal.Hash{})
		}
		l.c.events.emit(MemberChanged{Room: l.room.id, User: e.User, Active: s.active, Role: s.role, By: e.By})
	case control.EventRevoked:
		if !s.active {
			l.rekey.revoked = true
			l.c.events.emit(UserRevoked{l.room.id, e.User})
		}
	case control.EventAsked:
		l.rekey.asked = l.rekey.asked || e.User == l.c.me
		l.c.events.emit(RekeyAsked{l.room.id, e.User})
	}
}

// member is one active member. KindNotFound.
func (r *Room) member(ctx context.Context, user core.UserID) (control.Member, error) {
	return sendRetrying(ctx, r.c, readOnly, func(ctx context.Context) (control.Member, error) { return r.c.api.Member(ctx, r.id, user, false) })
}

// Invite asks a user into the room; role "" is member. The invitation is pending
// until they answer it with Client.Accept or Client.Decline, and Remove withdraws
// it. In an encrypted room they are given the present key once they have joined, by a
// member who has it and is online: they read from that epoch on. KindRefused if
// the user is revoked, or if this user may not invite or has too many pending
// invitations; KindExists if they are a member, also one whom the servers have removed
// without a statement: only Remove signs a removal.
func (r *Room) Invite(ctx context.Context, user core.UserID, role core.MemberRole) error {
	role = cmp.Or(role, core.MemberMember)
	if role != core.MemberMember && role != core.MemberAdmin {
		return core.Errorf(core.KindInvalid, "%.40q is not a role that a user can be invited to", role).WithNext("use member or admin")
	}
	if r.Encrypted() && !r.view.Load().signed {
		return r.notFoundedError()
	}
	return r.change(ctx, invitationPlan(r.id, user, role), func(ctx context.Context) error {
		_, err := sendRetrying(ctx, r.c, idempotent, func(ctx context.Context) (core.Member, error) {
			return r.c.api.Invite(ctx, r.id, user, role, nil)
		})
		return err
	})
}

// Remove takes a member out of the room, and in an encrypted one makes a new key
// without them. An error may mean that they are out and the key is still to be
// made: nothing is sent here before, and any member makes it. Remove also withdraws
// an invitation. An invited user never had the key, so then the room keeps it.
// KindRefused if this user may not.
func (r *Room) Remove(ctx context.Context, user core.UserID) error {
	hasKey, err := r.mayHaveKey(ctx, user)
	if err != nil {
		return err
	}
	unsigned := func(ctx context.Context) error { return r.removeUnsigned(ctx, user) }
	err = r.change(ctx, removalPlan(r.id, user, &hasKey), unsigned)
	if core.KindOf(err) == core.KindNotFound && r.view.Load().signed { // no statement leads to a ghost, and none takes it away
		err = unsigned(ctx)
		r.wake()
	}
	if err != nil {
		return err
	}
	r.noteRemoval(user, hasKey)
	if !r.Encrypted() {
		return nil
	}
	return r.rekeyIf(ctx, seal.ReasonRemoved, func(v *roomView) bool {
		_, due := v.rekeyDue(time.Now(), r.c.me)
		return due
	})
}

func (r *Room) removeUnsigned(ctx context.Context, user core.UserID) error {
	tries := 0
	_, err := sendRetrying(ctx, r.c, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := r.c.api.Remove(ctx, r.id, user)
		if tries > 1 && core.KindOf(err) == core.KindNotFound {
			err = nil
		}
		return m, err
	})
	return err
}

// noteRemoval notes that a member was removed. Senders compare the count even before
// the room's goroutine knows: nothing is sent until the room was read again.
func (r *Room) noteRemoval(user core.UserID, hadKey bool) {
	if hadKey {
		r.removals.Add(1)
	}
	r.do(func(l *roomLoop) { l.noteRemoval(user, hadKey) })
}

// mayHaveKey says whether a user may have the key of an encrypted room. A known
// member or sender may, whatever a node says now. For other users the node decides;
// a user who joins after its answer counts in RoomInfo.MustRekey.
func (r *Room) mayHaveKey(ctx context.Context, user core.UserID) (bool, error) {
	if !r.Encrypted() {
		return false, nil
	}
	known := false
	r.do(func(l *roomLoop) {
		s := l.members[user]
		known = s != nil && s.member || l.marks[user] > 0 || l.saved.Marks[user] > 0
	})
	if known {
		return true, nil
	}
	_, err := r.member(ctx, user)
	if core.KindOf(err) == core.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// Leave takes this user out of the room and closes it. KindRefused for its owner,
// unless the room is archived. In an encrypted room the user signs it. In an archived one
// nothing is signed any more: then a MembersDiffer event names this user as removed, for the
// departure is the servers' word.
func (r *Room) Leave(ctx context.Context) error {
	err := r.change(ctx, leavePlan, r.leaveUnsigned)
	if core.KindOf(err) == core.KindRefused && r.view.Load().signed && r.isArchived(ctx) {
		if err = r.leaveUnsigned(ctx); err == nil {
			r.c.log.Warn("this user has left an archived room without a signed statement", "room", r.id)
			r.c.events.emit(MembersDiffer{Room: r.id, Removed: []core.UserID{r.c.me}})
		}
	}
	if core.KindOf(err) == core.KindNotFound { // an earlier try was done, and its answer lost: the room is not this user's any more
		if rooms, e := sendRetrying(ctx, r.c, readOnly, r.c.api.Rooms); e == nil && !containsRoom(rooms, r.id) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return r.close(membershipOverError(r.id, r.c.me))
}

// isArchived says whether the node calls the room archived now.
func (r *Room) isArchived(ctx context.Context) bool {
	info, err := sendRetrying(ctx, r.c, readOnly, func(ctx context.Context) (control.RoomInfo, error) { return r.c.api.Room(ctx, r.id) })
	return err == nil && info.Room.State == core.RoomArchived
}

func (r *Room) leaveUnsigned(ctx context.Context) error {
	tries := 0
	_, err := sendRetrying(ctx, r.c, idempotent, func(ctx context.Context) (core.Member, error) {
		tries++
		m, err := r.c.api.Leave(ctx, r.id)
		if tries > 1 && core.KindOf(err) == core.KindRefused {
			if rooms, e := r.c.api.Rooms(ctx); e == nil && !containsRoom(rooms, r.id) {
				err = nil
			}
		}
		return m, err
	})
	return err
}

func containsRoom(rooms []core.Room, id core.RoomID) bool {
	return slices.ContainsFunc(rooms, func(r core.Room) bool { return r.ID == id })
}

// SetRole changes what a member may do; the role owner hands the room over. It is
// sent once, and read back if its answer was lost. KindUnavailable with the outcome
// unknown says that no node answered then either.
func (r *Room) SetRole(ctx context.Context, user core.UserID, role core.MemberRole) error {
	err := r.change(ctx, rolePlan(r.id, r.c.me, user, role), func(ctx context.Context) error {
		act := func(ctx context.Context) (core.Member, error) { return r.c.api.SetRole(ctx, r.id, user, role) }
		_, err := sendOnce(ctx, r.c, act, r.roleCheck(user, role))
		return err
	})
	r.wake()
	return err
}

// Rename gives the room another name. It is sent once, like SetRole.
func (r *Room) Rename(ctx context.Context, name string) error {
	act := func(ctx context.Context) (core.Room, error) { return r.c.api.RenameRoom(ctx, r.id, name) }
	_, err := sendOnce(ctx, r.c, act, r.nameCheck(name))
	r.wake()
	return err
}

// Archive ends the room for good: nothing is changed or sent in it any more.
func (r *Room) Archive(ctx context.Context) error {
	room, err := sendRetrying(ctx, r.c, idempotent, func(ctx context.Context) (core.Room, error) {
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
	r.do(func(l *roomLoop) { l.info.Room.State = room.State })
	return nil
}
