package feed

import (
	"cmp"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/guide"
	"unibus/core/migrate"
)

// Topic is the last good answer about one subject, and what polling has brought
// since.
type Topic[T any] struct {
	Value T
	Freshness
}

// Freshness tells how old a topic's value is, and why.
type Freshness struct {
	ReceivedAt    time.Time // when the value came in; zero: never
	Answers       uint64    // how many answers came in
	FirstPolledAt time.Time // zero: never polled
	ViewedSince   time.Time // when a page began to show the topic; before that it was not polled
	Err           *core.Error
}

// Known is true after the first answer.
func (t Freshness) Known() bool { return !t.ReceivedAt.IsZero() }

// Age returns the age of the value at now.
func (t Freshness) Age(now time.Time) time.Duration {
	if t.ReceivedAt.IsZero() {
		return 0
	}
	return max(0, now.Sub(t.ReceivedAt))
}

// Stale is true if the value is older than maxAge although it was polled.
func (t Freshness) Stale(now time.Time, maxAge time.Duration) bool {
	return t.Known() && t.Age(now) > maxAge && now.Sub(t.ViewedSince) > maxAge
}

// Refreshing is true if the value is old because no page showed it, and a new one
// is taking its time.
func (t Freshness) Refreshing(now time.Time, maxAge time.Duration) bool {
	return t.Known() && t.ViewedSince.After(t.ReceivedAt) && now.Sub(t.ViewedSince) > refreshGrace && t.Age(now) > maxAge && !t.Stale(now, maxAge)
}

const refreshGrace = time.Second

// Snapshot is everything known at one moment. It is immutable once published.
type Snapshot struct {
	Version   uint64          // increases with every change
	Node      string          // the connected node, "" if none
	Server    string          // its URL
	Attempts  []admin.Attempt // to connect, while there is no connection
	Status    Topic[admin.Status]
	Migration Topic[migrate.Status]
	Users     Topic[core.UserPage]
	Rooms     Topic[admin.RoomPage]
	Room      Topic[admin.RoomDetail]
	RoomID    string // the room that Room describes
	History   Topic[History]
	Rollout   Topic[admin.Rollout]
	Audit     Topic[AuditLog]
	Replicas  Topic[guide.Proof]
	Sessions  Topic[admin.SessionPage] // of SessionsOf
	UserKey   Topic[*guide.UserKey]    // of Subscription.UserKey
	Run       Topic[NodeRun]           // of Subscription.RunOf
	Trusted   Topic[*core.CABundle]    // by which this console verifies the nodes
	Samples   []Sample                 // oldest first, at most maxSamples
	Leaders   []GroupLeaders           // of the meta group, then of the buckets; at most maxTerms of each

	UsersRequest core.UserPageRequest // that Users answers
	RoomsRequest core.RoomPageRequest // that Rooms answers
	SessionsOf   core.UserID          // whose sessions Sessions has
}

// NodeRun is a node's own word on which run it is; "" where it does not answer.
type NodeRun struct{ Node, Run string }

// User returns a user of the newest answer, in its window or named besides.
func (s *Snapshot) User(id core.UserID) (core.User, bool) {
	for _, u := range s.Users.Value.Users {
		if u.ID == id {
			return u, true
		}
	}
	named := s.Users.Value.Named
	if i, found := slices.BinarySearchFunc(named, id, func(u core.User, id core.UserID) int { return cmp.Compare(u.ID, id) }); found {
		return named[i], true
	}
	return core.User{}, false
}

// LastSeen is the hour in which a user of the newest answer had a session last, and since when that is
// recorded; 0 for what the node does not say.
func (s *Snapshot) LastSeen(id core.UserID) (seen, began core.Millis) {
	return s.Users.Value.Seen[id], s.Users.Value.SeenSince
}

// HasUsers is true if the newest answer has every user of a window, as far as they exist.
func (s *Snapshot) HasUsers(w *UserWindow) bool {
	hasKeys := w.NoKeys || !s.UsersRequest.NoKeys
	return hasKeys && s.hasUserRows(w.UserQuery, w.Offset, w.Limit) && !slices.ContainsFunc(w.Named, func(id core.UserID) bool {
		_, known := s.User(id)
		return !known && !slices.Contains(s.UsersRequest.Named, id)
	})
}

// HasUsersOnScreen is HasUsers for the positions that are on the screen.
func (s *Snapshot) HasUsersOnScreen(w *UserWindow) bool {
	return s.hasUserRows(w.UserQuery, w.First, w.Rows)
}

func (s *Snapshot) hasUserRows(q core.UserQuery, from, count int) bool {
	have := s.Users.Value
	return s.Users.Known() && s.UsersRequest.UserQuery == q && hasRows(have.Offset, len(have.Users), have.Total, from, count)
}

// HasRooms is true if the newest answer has every room of a window, as far as they exist.
func (s *Snapshot) HasRooms(w *RoomWindow) bool { return s.hasRoomRows(w.RoomQuery, w.Offset, w.Limit) }

// HasRoomsOnScreen is HasRooms for the positions that are on the screen.
func (s *Snapshot) HasRoomsOnScreen(w *RoomWindow) bool {
	return s.hasRoomRows(w.RoomQuery, w.First, w.Rows)
}

func (s *Snapshot) hasRoomRows(q core.RoomQuery, from, count int) bool {
	have := s.Rooms.Value
	return s.Rooms.Known() && s.RoomsRequest.RoomQuery == q && hasRows(have.Offset, len(have.Rooms), have.Total, from, count)
}

// ListedRoom returns a room of the newest answer.
func (s *Snapshot) ListedRoom(id core.RoomID) (admin.RoomSummary, bool) {
	for _, r := range s.Rooms.Value.Rooms {
		if r.ID == id {
			return r, true
		}
	}
	return admin.RoomSummary{}, false
}

// hasRows is true if loaded rows from offset on have count rows of a list from a position
// on, as far as there are any.
func hasRows(offset, loaded, total, from, count int) bool {
	return (from >= offset || from >= total) && min(from+count, total) <= offset+loaded
}
