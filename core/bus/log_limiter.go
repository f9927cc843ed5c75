package bus

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"unibus/core/auth"
)

// linesPerSecond bounds how many log lines of one kind clients can cause: a flood of
// bad handshakes must not fill the disk.
const linesPerSecond = 20

// logLimiter allows linesPerSecond lines and counts the rest.
type logLimiter struct {
	mu      sync.Mutex
	since   time.Time
	logged  int
	omitted int
}

// next says whether one more line may be logged, and how many were omitted since the
// last time that it reported any.
func (l *logLimiter) next(now time.Time) (omitted int, allowed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= time.Second {
		omitted = l.omitted
		l.since, l.logged, l.omitted = now, 0, 0
	}
	if l.logged >= linesPerSecond {
		l.omitted++
		return omitted, false
	}
	l.logged++
	return omitted, true
}

// RefusedConnection and UndecidedConnection are the lines of connections that were not
// admitted, at level info. A client that tries again for ever causes them for ever: a log
// that counts what is repeated can tell them.
const (
	RefusedConnection   = "a connection was refused"
	UndecidedConnection = "a connection was closed without an answer: the node cannot decide about it now"
)

// refusalLog logs connections that were not admitted, and the reason of each.
type refusalLog struct {
	log     *slog.Logger
	limiter logLimiter
}

func (l *refusalLog) refused(r auth.Request, err error) {
	omitted, allowed := l.limiter.next(time.Now())
	if omitted > 0 {
		l.log.Warn("more connections were not admitted than are logged one by one", "omitted", omitted)
	}
	if allowed {
		what := RefusedConnection
		if !isRefusal(err) && !errors.Is(err, errTooManyConnections) {
			what = UndecidedConnection
		}
		l.log.Info(what, "remote", r.Remote, "key", keyForLog(r.Key), "reason", err.Error())
	}
}
