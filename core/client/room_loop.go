package client

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// roomLoop is the state of a room. Only the goroutine of run touches it, so no
// method of it blocks, calls do, or waits for the reconciler.
type roomLoop struct {
	c    *Client
	room *Room
	stop context.CancelFunc // ends the reconciler

	saved   roomState // as on disk, unless unsaved
	unsaved bool
	marks   map[core.UserID]core.Millis // the newest time of each sender in the epoch
	came    map[core.UserID]core.Millis // when that message came, by this machine's clock
	// Messages of this epoch that an earlier process may have delivered are refused.
	crashedEpoch core.Epoch
	crashed      core.Millis // this process began then, after one that crashed; 0: the marks of the process before are all

	info         control.RoomInfo
	reads        uint64 // of info
	session      uint64 // that may publish here; 0: not known
	receiver     *seal.Receiver
	sender       *epochSender
	removedEpoch core.Epoch // this process has removed a member who may have its key: nothing is sent in it or a lower one
	removalsRead uint64     // of Room.removals: info was read after these
	rekey        rekeyState
	fault        error
	over         error
	differences  memberDifferences
	identities   *identityChanges // members with the name of a verified person; nil without any
	memberEvents uint64           // control events about members
	named        core.Epoch       // the newest that a statement names
	departed     bool             // a member was removed or left, by the statements, since the key was made

	witnesses      map[core.UserID]bool // of a new device
	witnessedAt    uint64               // the statement after which they were looked at last
	fresh          freshness
	heartbeats     heartbeatPlan
	heartbeatTimes map[core.UserID]core.Millis // the newest of each member
	heartbeatSeen  map[core.UserID]core.Millis // the same, with those that do not fit
	ownHeartbeats  []core.Millis
	claims         heartbeatClaims
	told           toldSuspicions

	members      map[core.UserID]*memberStatus
	unknown      map[core.UserID]bool // the reconciler reads their status next
	keyRequests  map[core.UserID]keyRequest
	answered     map[core.UserID]time.Time   // when a member was given the key, or not
	requestTimes map[core.UserID]core.Millis // the newest signed request of each member
	notices      []control.Event             // control events, to emit once the reconciler has read the status of their users
	lostNotices  uint64                      // beyond the bound

	pending     pendingMessages
	readers     []*queue[readerItem]
	events      *nats.Subscription // control events alone, until all has them too
	all         *nats.Subscription // messages and control events; nil in a plain room without readers
	subscribing *subscribing       // under way
	subscribed  bool               // the node has confirmed all
	dropped     int                // messages that the library has dropped, and readers were told of
}

// epochSender seals messages in one epoch and counts those of all members.
type epochSender struct {
	*seal.Sender
	messages atomic.Uint64
}

// roomView is the part of a room's state that calls read without its goroutine. It
// is immutable; publish replaces it.
type roomView struct {
	info         control.RoomInfo
	encrypted    bool       // known for good
	head         *seal.Head // the newest record that was followed
	session      uint64
	subscribed   bool
	sender       *epochSender
	removedEpoch core.Epoch
	removalsRead uint64
	rekey        rekeyState
	fault        error
	over         error
	departed     bool
	named        core.Epoch
	identities   *identityChanges
	unproven     bool // see NewDevice
	signed       bool // the members sign every change of the members
}

func (v *roomView) isEncrypted() bool { return v.encrypted || v.info.Room.Encrypted }

func (l *roomLoop) snapshot() roomView {
	return roomView{
		info: l.info, encrypted: l.saved.isEncrypted(), head: l.saved.Head, session: l.session, subscribed: l.subscribed,
		sender: l.sender, removedEpoch: l.removedEpoch, removalsRead: l.removalsRead, rekey: l.rekey, fault: l.fault, over: l.over,
		departed: l.departed, named: l.named, identities: l.identities, signed: l.saved.Members != nil, unproven: l.saved.Unproven > 0,
	}
}

// publish replaces the view if the state has changed, and wakes waiting senders.
func (l *roomLoop) publish() {
	if now := l.snapshot(); now != *l.room.view.Load() {
		l.room.view.Store(&now)
		l.room.changed.notify()
	}
}

// run serves calls and messages until the reconciler has ended.
func (l *roomLoop) run(reconcilerEnded <-chan struct{}) {
	for {
		select {
		case c := <-l.room.calls:
			c.f(l)
			l.publish()
			close(c.done)
		case b := <-l.room.messages:
			l.receive(b)
			l.publish()
		case <-reconcilerEnded:
			l.end(closedError("client"))
			l.publish()
			l.c.unregister(l.room)
			close(l.room.ended)
			return
		}
	}
}

// end gives the readers the reason, and has the reconciler save and end.
func (l *roomLoop) end(why error) {
	if l.over != nil {
		return
	}
	l.over = why
	for _, q := range l.readers {
		q.pushLast(readerItem{made: &delivery{err: why, last: true}})
	}
	l.readers = nil
	l.stop()
}

// stateToSave returns the state for the disk; false if it is there.
func (l *roomLoop) stateToSave() (roomState, bool) {
	if !l.unsaved {
		return roomState{}, false
	}
	l.unsaved = false
	out := l.saved
	out.Marks, out.Came = map[core.UserID]core.Millis{}, map[core.UserID]core.Millis{}
	maps.Copy(out.Marks, l.saved.Marks)
	maps.Copy(out.Came, l.saved.Came)
	for u, t := range l.marks {
		if t >= out.Marks[u] {
			out.Marks[u], out.Came[u] = t, l.came[u]
		}
	}
	return out, true
}

// setRefused notes that the nodes refuse this user, or, with nil, that they do not.
func (l *roomLoop) setRefused(why error) {
	switch {
	case why != nil && l.fault == nil:
		l.fault = why
	case why == nil && errors.Is(l.fault, ErrRefused):
		l.fault = nil
	}
}

// sessionChanged notes that the session is another one, or none.
func (l *roomLoop) sessionChanged() {
	l.session = 0
	for _, s := range l.members {
		s.stale = true
	}
	l.room.wake()
}

// setHead notes the newest record. The marks belong to the epoch before.
func (l *roomLoop) setHead(h seal.Head) {
	l.saved.Head, l.saved.Marks, l.saved.Came = &h, nil, nil
	l.marks, l.came = map[core.UserID]core.Millis{}, map[core.UserID]core.Millis{}
	l.unsaved = true
}

// useKey sends and receives with a key from now on.
func (l *roomLoop) useKey(k *seal.EpochKey, s *seal.Sender) error {
	if err := l.receiver.Advance(k); err != nil {
		return err
	}
	l.sender = &epochSender{Sender: s}
	return nil
}

// noteRoom notes the room before its keys are followed, which may take long: nothing
// is sent meanwhile by a key that is due to be replaced. If the room is past the
// epoch of the sender (behind), nothing is sent until the next key is here, also if
// that one cannot be read.
func (l *roomLoop) noteRoom(info control.RoomInfo) (before core.Room, behind bool) {
	before, l.info = l.info.Room, info
	if behind = l.sender != nil && l.sender.Record().Epoch < info.Room.Epoch; behind {
		l.sender = nil
	}
	return before, behind
}

// noteRemoval notes that a member was removed. If the member had the key, a new one
// is due, whatever a node says: an answer or a key that is under way may be older
// than the removal.
func (l *roomLoop) noteRemoval(user core.UserID, hadKey bool) {
	delete(l.members, user)
	if hadKey && l.saved.Head != nil {
		l.removedEpoch = max(l.removedEpoch, l.saved.Head.Epoch)
	}
}

// noteNewKey notes that this process has made the room's key.
func (l *roomLoop) noteNewKey(room core.Room, boxes int) {
	now := time.Now()
	l.info.Room, l.info.MustRekey, l.info.Unkeyed = room, 0, max(0, l.info.Members-boxes)
	l.rekey = rekeyState{made: now, moved: now, noticed: l.rekey.noticed}
}
