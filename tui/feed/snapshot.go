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

// Sample is what is kept of one status for the sparklines.
type Sample struct {
	At     core.Millis
	Conns  float64            // clients on all nodes
	Writes float64            // changes a second of the control plane
	CPU    map[string]float64 // by node, percent
}

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

// MaxSamples is how many samples are kept, one a second.
const MaxSamples = 120

// MaxEvents is how many events are kept, the newest.
const MaxEvents = 2000

// sample derives the next point of the sparklines from two answers.
func sample(prev, next admin.Status) Sample {
	s := Sample{At: next.At, CPU: map[string]float64{}}
	for _, n := range next.Nodes {
		if !n.Online {
			continue
		}
		s.Conns += float64(n.Conns)
		s.CPU[n.Name] = n.CPU
	}
	ms := float64(next.At - prev.At)
	if ms <= 0 {
		return s
	}
	before := map[string]uint64{}
	for _, b := range prev.Buckets {
		before[b.Name] = b.LastSeq
	}
	for _, b := range next.Buckets {
		if was, ok := before[b.Name]; ok && b.LastSeq > was {
			s.Writes += float64(b.LastSeq-was) * 1000 / ms
		}
	}
	return s
}
