package bus

import (
	"log/slog"
	"sync"
	"time"

	"unibus/core/auth"
)

// notesPerSecond bounds how many lines of one sort clients can put into the log:
// a flood of bad handshakes must not fill the disk.
const notesPerSecond = 20

// refusals logs who was turned away and why.
type refusals struct {
	log *slog.Logger
	few few
}

func (n *refusals) refused(r auth.Request, err error) {
	omitted, note := n.few.next(time.Now())
	if omitted > 0 {
		n.log.Warn("more connections were refused than are logged one by one", "omitted", omitted)
	}
	if note {
		n.log.Info("a connection was refused", "remote", r.Remote, "key", printable(r.Key), "reason", err.Error())
	}
}

// few lets notesPerSecond of something through and counts the rest.
type few struct {
	mu      sync.Mutex
	since   time.Time
	noted   int
	omitted int
}

// next says whether one more may be logged, and how many were not since the last time this was told.
func (f *few) next(now time.Time) (omitted int, note bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) >= time.Second {
		omitted = f.omitted
		f.since, f.noted, f.omitted = now, 0, 0
	}
	if f.noted >= notesPerSecond {
		f.omitted++
		return omitted, false
	}
	f.noted++
	return omitted, true
}
