package client

import (
	"context"
	"iter"
	"sync"

	"unibus/core"
	"unibus/core/seal"
)

// Event is something that happened to the connection or in a room that is open
// here; one of the types below. What comes from others is a fact that was read
// from the control service, not what somebody announced.
type Event interface{ event() }

// Joined says that this user is a member of a room that it was not in before, or not known to be.
type Joined struct{ Room core.Room }

// Left says that this user is not a member of a room any more.
type Left struct{ Room core.RoomID }

// RoomChanged says that a room's name, owner or state is another.
type RoomChanged struct{ Room core.Room }

// MemberChanged says what somebody is in a room by now.
type MemberChanged struct {
	Room   core.RoomID
	User   core.UserID
	Active bool            // a member whose user is not revoked
	Role   core.MemberRole // "" where they are no member
	By     core.UserID     // who is said to have changed it; "": not known
}

// UserRevoked says that a member of a room was revoked as a user.
type UserRevoked struct {
	Room core.RoomID
	User core.UserID
}

// Rekeyed says that the room is at another epoch, whose record was checked. Show the maker to people.
type Rekeyed struct {
	Room     core.RoomID
	Epoch    core.Epoch
	Maker    core.UserID
	Reason   seal.Reason
	Members  int  // who were given the key
	First    bool // nothing of the room was known before: it is taken on trust
	Unlinked bool // nothing shows that the maker was a member; Room.Trust allowed it
}

// KeyGiven says that this user has the present key of a room, or gave it to somebody.
type KeyGiven struct {
	Room  core.RoomID
	Epoch core.Epoch
	To    core.UserID
	By    core.UserID
}

// RekeyAsked says that an operator asked a member to make a new key. In the
// modes off and soft anybody can have it said; whether one is due is looked up.
type RekeyAsked struct {
	Room core.RoomID
	User core.UserID
}

// Disconnected says that the connection is lost; it is being made again.
type Disconnected struct{ Err error }

// Refused says that the nodes have refused this user for several seconds: it was
// revoked, or none of them has a control plane. Its cause is ErrRefused. Connected
// follows where they admit it again.
type Refused struct{ Err error }

// Connected says that the connection is back, and to which node.
type Connected struct{ Node string }

// SlowConsumer says that a reader of a room has begun to lose messages; how many
// stands in its stream, where they are missing.
type SlowConsumer struct{ Room core.RoomID }

// Suspicion says that something that a node or a member showed does not fit what
// is known. Its cause is a seal.Fault. Where it is about the room's own keys
// nothing is sent there while it lasts (Room.Err); where one member or message is wrong the room goes on.
type Suspicion struct {
	Room core.RoomID // "": no room's
	Err  error
}

// NotSent says that a node did not let through what was sent in a room, because
// this user's membership has just changed.
type NotSent struct{ Room core.RoomID }

// EventsLost says that the reader of events was too slow, or that a room told of
// more at once than this process took up; the rooms themselves were read all the same.
type EventsLost struct{ Events uint64 }

func (Joined) event()        {}
func (Left) event()          {}
func (RoomChanged) event()   {}
func (MemberChanged) event() {}
func (UserRevoked) event()   {}
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

// pendingEvents is how many wait for one reader.
const pendingEvents = 4096

// eventFeed hands events to all who read.
type eventFeed struct {
	mu      sync.Mutex
	readers map[*queue[Event]]struct{}
}

func (f *eventFeed) emit(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for q := range f.readers {
		q.push(e)
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

// Events are what happens from this call on, until ctx ends or the client is
// closed. Each call reads on its own. A loop that is left stops listening; another
// one over the same events goes on with what waited then and what happens from when it begins.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] {
	q := newQueue(pendingEvents, 1, func(Event) int { return 0 })
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
