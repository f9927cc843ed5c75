package bus

import (
	"log/slog"
	"sync"
	"time"

	"unibus/core/auth"
)

// notesPerSecond bounds how many refusals are logged one by one: a flood of bad
// handshakes must not fill the disk.
const notesPerSecond = 20

// refusals logs who was turned away and why.
type refusals struct {
	log *slog.Logger

	mu      sync.Mutex
	since   time.Time
	noted   int
	omitted int
}

func (n *refusals) refused(r auth.Request, err error) {
	omitted, note := n.next(time.Now())
	if omitted > 0 {
		n.log.Warn("more connections were refused than are logged one by one", "omitted", omitted)
	}
	if note {
		n.log.Info("a connection was refused", "remote", r.Remote, "key", printable(r.Key), "reason", err.Error())
	}
}

// next says whether one more may be logged, and how many were not in a second that is over.
func (n *refusals) next(now time.Time) (omitted int, note bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.since) >= time.Second {
		omitted = n.omitted
		n.since, n.noted, n.omitted = now, 0, 0
	}
	if n.noted >= notesPerSecond {
		n.omitted++
		return omitted, false
	}
	n.noted++
	return omitted, true
}
