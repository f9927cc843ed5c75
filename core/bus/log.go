package bus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsLog carries nats-server's log into slog. Its notices are of no use to an
// operator and stay at debug level unless debugging was asked for.
type natsLog struct {
	log   *slog.Logger
	debug bool
	fatal func(text string)

	clients few
}

var _ server.Logger = (*natsLog)(nil)

func (l *natsLog) put(level slog.Level, format string, v []any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	l.log.Log(context.Background(), level, fmt.Sprintf(format, v...), "from", "nats-server")
}

// Noticef is logged at info level where debugging was asked for, else at debug level.
func (l *natsLog) Noticef(format string, v ...any) {
	if l.debug {
		l.put(slog.LevelInfo, format, v)
		return
	}
	l.put(slog.LevelDebug, format, v)
}

// Warnf is always logged.
func (l *natsLog) Warnf(format string, v ...any) { l.put(slog.LevelWarn, format, v) }

// Errorf is always logged, but for refused connections: the gate has said who and
// why. What single clients do wrong is a warning, and there is a bound on it.
func (l *natsLog) Errorf(format string, v ...any) {
	if strings.Contains(format, "authentication error") || (len(v) > 0 && fmt.Sprint(v[0]) == server.ErrAuthentication.Error()) {
		l.Debugf(format, v...)
		return
	}
	if strings.Contains(format, " - cid:") { // about a client, which can make as many of them as it likes
		omitted, note := l.clients.next(time.Now())
		if omitted > 0 {
			l.log.Warn("clients did more wrong than is logged one by one", "omitted", omitted)
		}
		if note {
			l.put(slog.LevelWarn, format, v)
		}
		return
	}
	l.put(slog.LevelError, format, v)
}

// Fatalf means that the server cannot go on; it does not end the process by itself.
func (l *natsLog) Fatalf(format string, v ...any) { l.fatal(fmt.Sprintf(format, v...)) }

// Debugf is logged only where debugging was asked for.
func (l *natsLog) Debugf(format string, v ...any) {
	if l.debug {
		l.put(slog.LevelDebug, format, v)
	}
}

// Tracef is never logged: it would show what users say.
func (l *natsLog) Tracef(string, ...any) {}
