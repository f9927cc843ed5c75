package cluster

import (
	"sync"
	"time"

	"unibus/core"
)

// KeptEvents is how many events a Recorder keeps.
const KeptEvents = 1000

// Recorder keeps the last 1,000 events of one node. The zero value is ready, and safe for many callers.
type Recorder struct {
	mu   sync.Mutex
	last uint64 // Seq of the newest
	ring [KeptEvents]Event
}

// Add notes one thing that happened now.
func (r *Recorder) Add(level Level, about, text string) {
	r.Record([]Event{{At: core.MillisOf(time.Now()), Level: level, About: about, Text: text}})
}

// Record notes events in their order and counts them; their Seq is ignored.
func (r *Recorder) Record(events []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.last++
		e.Seq = r.last
		r.ring[r.last%KeptEvents] = e
	}
}

// Since returns the newest events after seq, at most limit (0 or less: 200),
// oldest first. A seq that was not reached yet is of an earlier life of the node and read as 0.
func (r *Recorder) Since(seq uint64, limit int) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limit <= 0 {
		limit = 200
	}
	if seq > r.last {
		seq = 0
	}
	n := min(r.last-seq, uint64(limit), KeptEvents)
	out := make([]Event, 0, n)
	for s := r.last - n + 1; s <= r.last; s++ {
		out = append(out, r.ring[s%KeptEvents])
	}
	return out
}
