package client

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// InvitationChanged says what became of an invitation: of this user, or of another one
// to an open room. An invitation to an encrypted room was read from the members' own
// statements. One to a plain room is told to the invited and the inviter alone, and to
// the inviter only as the node announces it.
type InvitationChanged struct {
	Room    core.RoomID
	User    core.UserID // who is invited
	Inviter core.UserID // "": not known
	Role    core.MemberRole
	State   control.InvitationState
	By      core.UserID // who invited, accepted, declined or withdrew; "": not known
}

func (InvitationChanged) event() {}

// invitationWatch is what this process knows of this user's invitations.
type invitationWatch struct {
	reading       sync.Mutex            // held while the list is read and compared
	contradictory map[core.RoomID]error // of the list that was read last: contradict themselves, and were reported

	mu      sync.Mutex
	pending map[core.RoomID]Invitation // as they were read last
	shown   map[core.RoomID]Invitation // as the program has seen them: an answer is to these
	changed chan struct{}              // the list is to be read again

	numbers map[core.UserID]seal.SafetyNumber // of inviters: each costs some milliseconds

	signed    map[core.RoomID]signedAnswer
	answering map[core.RoomID]int // calls that answer: they tell of the end of the invitation
}

func newInvitationWatch() *invitationWatch {
	return &invitationWatch{pending: map[core.RoomID]Invitation{}, shown: map[core.RoomID]Invitation{}, changed: make(chan struct{}, 1), signed: map[core.RoomID]signedAnswer{}, answering: map[core.RoomID]int{}, numbers: map[core.UserID]seal.SafetyNumber{}}
}

// signedAnswer is the last answer to a room's invitation that was signed; see signedChange.
type signedAnswer struct {
	invitation, over seal.Hash
	accept           bool
	statement        seal.Statement
}

// sameAnswer is the answer that was signed before, or the one that sign makes.
func (w *invitationWatch) sameAnswer(room core.RoomID, now signedAnswer, sign func() (seal.Statement, error)) (seal.Statement, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.signed[room]; last.invitation == now.invitation && last.over == now.over && last.accept == now.accept {
		return last.statement, nil
	}
	var err error
	if now.statement, err = sign(); err == nil {
		w.signed[room] = now
	}
	return now.statement, err
}

// wake has the list read again soon.
func (w *invitationWatch) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// note notes the list, and returns what came and what is gone.
func (w *invitationWatch) note(now []Invitation) (came, gone []Invitation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.pending
	maps.DeleteFunc(w.numbers, func(by core.UserID, _ seal.SafetyNumber) bool {
		return !slices.ContainsFunc(now, func(i Invitation) bool { return i.By == by })
	})
	w.pending = make(map[core.RoomID]Invitation, len(now))
	for _, i := range now {
		w.pending[i.Room] = i
		if !before[i.Room].isSame(i) {
			came = append(came, i)
		}
		if _, is := w.shown[i.Room]; !is {
			w.shown[i.Room] = i
		}
	}
	for _, room := range slices.Sorted(maps.Keys(before)) {
		if _, is := w.pending[room]; !is && w.answering[room] == 0 {
			gone = append(gone, before[room])
		}
	}
	return came, gone
}

// number is the safety number of this user and an inviter.
func (w *invitationWatch) number(me, by core.UserID) (n seal.SafetyNumber, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = w.numbers[by]; n == "" {
		if n, err = seal.SafetyNumberOf(me, by); err == nil {
			w.numbers[by] = n
		}
	}
	return n, err
}

// show notes what the program is shown.
func (w *invitationWatch) show(all []Invitation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.shown)
	for _, i := range all {
		w.shown[i.Room] = i
	}
}

// answer notes that a call answers an invitation, until the returned function is called.
func (w *invitationWatch) answer(room core.RoomID) (end func()) {
	add := func(n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.answering[room] += n; w.answering[room] == 0 {
			delete(w.answering, room)
		}
	}
	add(1)
	return func() { add(-1) }
}

// answered takes an invitation from the list that this user has answered: its end is no
// withdrawal. It returns what the program has seen of it.
func (w *invitationWatch) answered(room core.RoomID) (was Invitation) {
	w.reading.Lock() // or a list that was read before brings it back
	defer w.reading.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	was = w.shown[room]
	if p, is := w.pending[room]; is {
		was = p
	}
	delete(w.pending, room)
	delete(w.shown, room)
	return was
}

// check refuses to answer another invitation than the one that the program has seen: a
// node could put one of its own in its place.
func (w *invitationWatch) check(now Invitation) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, seen := w.shown[now.Room]
	if !seen || was.isLike(now) {
		return nil
	}
	return core.Errorf(core.KindConflict, "the invitation to the room %s has changed: %s, and it was %s", now.Room, now.describe(), was.describe()).
		WithNext("read Client.Invitations again, and decide again")
}

// lastShown is the invitation to the room that the program has seen, if any.
func (w *invitationWatch) lastShown(room core.RoomID) Invitation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown[room]
}

// startInvitations reads the list for the first time, and has it read again after each
// hint and from time to time.
func (c *Client) startInvitations(ctx context.Context) error {
	_, err := c.nc.Subscribe(control.InvitationSubject(c.me), c.onInvitationEvent)
	if err != nil {
		return core.Errorf(core.KindUnavailable, "cannot subscribe to invitations: %s", errorText(err))
	}
	if _, err := c.readInvitations(ctx, false); err != nil {
		return err
	}
	if !c.spawn(c.watchInvitations) {
		return closedError("client")
	}
	return nil
}

func (c *Client) onInvitationEvent(m *nats.Msg) {
	e, err := control.ParseInvitationEvent(m)
	if err != nil {
		return // in the modes off and soft anybody may send to an inbox
	}
	if e.Room == "" {
		c.invitations.wake()
		return
	}
	if r := c.openRoom(e.Room); r != nil && r.isPlain() && isPlausible(e) {
		c.events.emit(InvitationChanged{Room: e.Room, User: e.User, Inviter: c.me, Role: e.Role, State: e.State, By: e.By})
	}
}

// isPlain says that the room was read, and is not encrypted: the members of others sign what
// becomes of an invitation.
func (r *Room) isPlain() bool {
	v := r.view.Load()
	return v.info.Room.ID == r.id && !v.isEncrypted()
}

// isPlausible says that an announcement names users, a role and a state that there are.
func isPlausible(e control.InvitationEvent) bool {
	isUser := func(u core.UserID) bool {
		_, err := core.ParseUserID(string(u))
		return err == nil
	}
	switch e.State {
	case control.InvitationPending, control.InvitationAccepted, control.InvitationDeclined, control.InvitationWithdrawn:
	default:
		return false
	}
	return isUser(e.User) && (e.By == "" || isUser(e.By)) && (e.Role == core.MemberMember || e.Role == core.MemberAdmin)
}

// minInvitationReads is the least time between two reads of the list: hints can be forged
// in the modes off and soft.
const minInvitationReads = 200 * time.Millisecond

func (c *Client) watchInvitations() {
	for {
		t := time.NewTimer(jittered(c.timing.invitationsEvery))
		select {
		case <-c.life.Done():
		case <-c.invitations.changed:
		case <-t.C:
		}
		t.Stop()
		if c.life.Err() != nil {
			return
		}
		if _, err := c.readInvitations(c.life, true); err != nil && sleep(c.life, jittered(maxRetryWait)) {
			c.log.Warn("the list of invitations could not be read; trying again", "error", err)
			c.invitations.wake()
		}
		if !sleep(c.life, minInvitationReads) {
			return
		}
	}
}

// readInvitations reads and checks the list. With emit it emits events for the difference.
func (c *Client) readInvitations(ctx context.Context, emit bool) ([]Invitation, error) {
	c.invitations.reading.Lock()
	defer c.invitations.reading.Unlock()
	listed, err := sendRetrying(ctx, c, readOnly, func(ctx context.Context) ([]control.Invitation, error) { return c.api.Invitations(ctx) })
	if err != nil {
		return nil, err
	}
	all, contradictory := make([]Invitation, 0, len(listed)), map[core.RoomID]error{}
	for _, i := range listed {
		if checked, err := c.checkInvitation(i); err != nil {
			contradictory[i.Room] = err
		} else {
			all = append(all, checked)
		}
	}
	c.reportInvitations(contradictory)
	came, gone := c.invitations.note(all)
	if !emit {
		return all, nil
	}
	for _, i := range gone {
		if joined, known := c.hasJoined(ctx, i.Room); known && joined { // another process of this user has accepted it
			c.events.emit(i.changed(c.me, control.InvitationAccepted, c.me))
		} else {
			c.events.emit(i.changed(c.me, control.InvitationWithdrawn, ""))
		}
	}
	for _, i := range came {
		c.events.emit(i.changed(c.me, control.InvitationPending, i.By))
	}
	return all, nil
}

// hasJoined says whether this user is a member of a room.
func (c *Client) hasJoined(ctx context.Context, room core.RoomID) (joined, known bool) {
	rooms, err := sendRetrying(ctx, c, readOnly, c.api.Rooms)
	return containsRoom(rooms, room), err == nil
}

// reportInvitations reports invitations that contradict themselves, each once while it is listed.
// It is called while the list is read.
func (c *Client) reportInvitations(contradictory map[core.RoomID]error) {
	before := c.invitations.contradictory
	c.invitations.contradictory = contradictory
	for room, err := range contradictory {
		if was := before[room]; was == nil || was.Error() != err.Error() {
			c.reportSuspicion(room, err)
		}
	}
}

// emitInvitations emits what statements after a number say about invitations.
func (l *roomLoop) emitInvitations(after uint64) {
	l.room.members.use(func(m *seal.Membership) {
		for _, s := range m.Since(after) {
			if e, is := invitationOf(s); is {
				l.c.events.emit(e)
			}
			for _, user := range s.Lapsed {
				l.c.events.emit(InvitationChanged{Room: s.Room, User: user, Inviter: s.Subject, State: control.InvitationWithdrawn, By: s.Signer})
			}
		}
	})
}

// invitationOf is the event for a statement about an invitation.
func invitationOf(s seal.FollowedStatement) (e InvitationChanged, is bool) {
	e = InvitationChanged{Room: s.Room, User: s.Subject, Role: s.Role, By: s.Signer}
	switch {
	case s.Kind == seal.StatementInvite:
		e.State, e.Inviter = control.InvitationPending, s.Signer
	case s.Kind == seal.StatementAccept:
		e.State = control.InvitationAccepted
	case s.Kind == seal.StatementDecline:
		e.State = control.InvitationDeclined
	case s.Kind == seal.StatementRemove && !s.WasActive:
		e.State = control.InvitationWithdrawn
	}
	return e, e.State != ""
}
