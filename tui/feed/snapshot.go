package feed

import (
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// Topic is the last good answer about one subject, and the result of polling since.
type Topic[T any] struct {
	Value T
	Freshness
}

// Freshness tells how old the value of a topic is, and why.
type Freshness struct {
	At    time.Time // when Value came in; zero: never
	N     uint64    // how many answers came in
	Asked time.Time // when it was first asked for; zero: nobody wants it
	Again time.Time // when somebody last began to look; before that nobody asked
	Err   *core.Error
	Since time.Time // the first failure after At; zero while all is well
}

// Known is true once there was an answer.
func (t Freshness) Known() bool { return !t.At.IsZero() }

// Age is how old the value is at now.
func (t Freshness) Age(now time.Time) time.Duration {
	if t.At.IsZero() {
		return 0
	}
	return max(0, now.Sub(t.At))
}

// Stale is true where the value is older than fresh answers are, though it was asked for.
func (t Freshness) Stale(now time.Time, fresh time.Duration) bool {
	return t.Known() && t.Age(now) > fresh && now.Sub(t.Again) > fresh
}

// Awaited is true where the value is old because nobody looked, and a new one
// has not come at once.
func (t Freshness) Awaited(now time.Time, fresh time.Duration) bool {
	return t.Known() && t.Again.After(t.At) && now.Sub(t.Again) > atOnce && t.Age(now) > fresh && !t.Stale(now, fresh)
}

const atOnce = time.Second

// Snapshot is everything known at one moment. Nobody changes it after it was published.
type Snapshot struct {
	Version   uint64 // grows with every change
	Node      string // the node that is asked, "" while there is none
	Server    string // its URL
	Status    Topic[admin.Status]
	Migration Topic[migrate.Status]
	Users     Topic[[]core.User]
	Rooms     Topic[[]admin.RoomSummary]
	Room      Topic[admin.RoomDetail]
	RoomID    string // which room Room is about
	Events    Topic[[]cluster.Event]
	Rollout   Topic[admin.Rollout]
	Audit     Topic[AuditLog]
	Samples   []Sample // oldest first, at most MaxSamples
}

// MaxEvents is how many events are kept, the newest.
const MaxEvents = 2000
