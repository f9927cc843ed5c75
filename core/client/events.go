package client

import (
	"context"
	"iter"
	"sync"

	"unibus/core"
	"unibus/core/seal"
)

// Event is something that happened to the connection or in an open room; one of the
// types below. Events about other users were read from the control service, and not
// taken from an announcement.
type Event interface{ event() }

// Joined says that this user is a member of a room that was not on its list before.
type Joined struct{ Room core.Room }

// Left says that this user is not a member of a room any more.
type Left struct{ Room core.RoomID }

// RoomChanged says that a room has another name, owner or state.
type RoomChanged struct{ Room core.Room }

// MemberChanged is the present status of a user in a room.
type MemberChanged struct {
	Room   core.RoomID
	User   core.UserID
	Active bool            // a member, and not revoked
	Role   core.MemberRole // "" if they are no member
	By     core.UserID     // the user who changed it, as announced; "": not known
}

// MembersDiffer says that the node's list of an encrypted room's members differs from what
// the members signed. Ghosts are in the list alone: they get no key and are not read.
// Removed are members whom the servers have removed, or revoked as users, without a statement:
// they get no new key. Both are empty once the list agrees again.
type MembersDiffer struct {
	Room    core.RoomID
	Ghosts  []core.UserID
	Removed []core.UserID
}

// UserRevoked says that a member of a room was revoked as a user.
type UserRevoked struct {
	Room core.RoomID
	User core.UserID
}

// Founded says that a room that was created before members signed has a chain now. Nobody
// but its founder has signed who the members are. Show the founder to people. Until the
// program has named the founder to Client.TrustFounder, nothing of the chain is followed
// and nothing is sent; another event tells once it is.
type Founded struct {
	Room    core.RoomID
	By      core.UserID
	Members int  // active ones, as the founding and the statements since lead to them
	Trusted bool // the chain is followed: the program has named the founder, or this user has signed in the chain
}

// Rekeyed says that the room is at another epoch, whose record was verified. Show the maker to people.
type Rekeyed struct {
	Room     core.RoomID
	Epoch    core.Epoch
	Maker    core.UserID
	Reason   seal.Reason
	Members  int  // with a box of the key
	First    bool // the first record that this client has seen of the room, taken on trust
	Unlinked bool // no proof that the maker was a member; Room.Trust allowed it
}

// KeyGiven says that this user was given the present key of a room, or gave it to a member.
type KeyGiven struct {
	Room  core.RoomID
	Epoch core.Epoch
	To    core.UserID
	By    core.UserID
}

// RekeyAsked says that an operator asked a member to make a new key. In the modes
// off and soft any user can forge this request, so the client reads whether one is due.
type RekeyAsked struct {
	Room core.RoomID
	User core.UserID
}

// Disconnected says that the connection is lost. The client reconnects.
type Disconnected struct{ Err error }

// Refused says that the nodes have refused this user for several seconds: it was
// revoked, or no node has a control plane. Its cause is ErrRefused. Connected
// follows once they admit the user again.
type Refused struct{ Err error }

// Connected says that the client has reconnected to a node.
type Connected struct{ Node string }

// SlowConsumer says that a reader of a room has begun to lose messages. A *SlowError
// in its stream counts them, in their place.
type SlowConsumer struct{ Room core.RoomID }

// Suspicion says that a node or a member showed something that contradicts the known
// state. Its cause is a seal.Fault. If it is about the room's own keys, nothing is
// sent there while it lasts (Room.Err). If it is about one member or message, the room continues.
type Suspicion struct {
	Room core.RoomID // "": it is about no room
	Err  error
}

// NotSent says that a node refused a message of this process, because this user's
// membership has just changed.
type NotSent struct{ Room core.RoomID }

// EventsLost says that the reader of events was too slow, or that a room announced
// more at once than this process keeps. The rooms themselves were read nevertheless.
type EventsLost struct{ Events uint64 }

func (Joined) event()        {}
func (Left) event()          {}
func (RoomChanged) event()   {}
func (MemberChanged) event() {}
func (MembersDiffer) event() {}
func (UserRevoked) event()   {}
func (Founded) event()       {}
func (Rekeyed) event()       {}
func (KeyGiven) event()      {}
func (RekeyAsked) event()    {}
func (Disconnected) event()  {}
func (Refused) event()       {}
func (Connected) event()     {}
func (SlowConsumer) event()  {}
func (Suspicion) event()     {}
func (NotSent) event()       {}
func (EventsLost) event()    {}

// pendingEvents is how many events wait for one reader. Suspicions have a place of their own,
// which no others take, and so have the kinds that no program may overlook: Suspicions do not
// take that one.
const (
	pendingEvents     = 4096
	pendingSuspicions = 512
	pendingReserved   = 1024
)

// limitFor is how many events may wait before an event is lost.
func limitFor(e Event) int {
	switch e := e.(type) {
	case IdentityChanged, Founded, MembersDiffer, Stale:
		return pendingEvents + pendingSuspicions + pendingReserved
	case Rekeyed:
		if e.Unlinked {
			return pendingEvents + pendingSuspicions + pendingReserved
		}
	case Suspicion:
		return pendingEvents + pendingSuspicions
	}
	return pendingEvents
}

// eventFeed gives events to every reader.
type eventFeed struct {
	mu      sync.Mutex
	readers map[*queue[Event]]struct{}
}

func (f *eventFeed) emit(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for q := range f.readers {
		q.pushBelow(limitFor(e), e)
	}
}

func (f *eventFeed) add(q *queue[Event]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[q] = struct{}{}
}

func (f *eventFeed) remove(q *queue[Event]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, q)
}

// Events returns the events from this call on, until ctx ends or the client is
// closed. Each call reads on its own. A loop that is left stops receiving. Another
// loop over the same events begins with those that waited then, and continues with
// those that happen after it began.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] {
	q := newQueue(pendingEvents+pendingSuspicions+pendingReserved, 1, func(Event) int { return 0 })
	c.events.add(q)
	forget := context.AfterFunc(ctx, func() { c.events.remove(q) })
	loops := loops{begin: func() { c.events.add(q) }, end: func() { c.events.remove(q) }}
	return func(yield func(Event) bool) {
		defer loops.enter()()
		defer forget() // or a context that lives on would keep q
		for {
			e, lost, ok := q.next(ctx, c.life)
			if !ok {
				return
			}
			if lost > 0 {
				e = EventsLost{lost}
			}
			if !yield(e) {
				return
			}
		}
	}
}
