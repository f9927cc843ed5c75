package feed

import (
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
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
	Version   uint64 // increases with every change
	Node      string // the connected node, "" if none
	Server    string // its URL
	Status    Topic[admin.Status]
	Migration Topic[migrate.Status]
	Users     Topic[[]core.User]
	Rooms     Topic[[]admin.RoomSummary]
	Room      Topic[admin.RoomDetail]
	RoomID    string // the room that Room describes
	Events    Topic[[]cluster.Event]
	Rollout   Topic[admin.Rollout]
	Audit     Topic[AuditLog]
	Samples   []Sample // oldest first, at most maxSamples
}

// maxEvents bounds the events; the newest are kept.
const maxEvents = 2000
