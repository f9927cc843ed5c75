package bus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsLogger passes nats-server's log on to slog. Its notices are of no use to an
// operator and stay at debug level unless debugging was asked for.
type natsLogger struct {
	log   *slog.Logger
	debug bool
	fatal func(text string)

	clients   logLimiter                // of lines that clients cause
	oldRoutes *atomic.Pointer[[]string] // see Server.SetOldRoutes; nil in tests
}

var _ server.Logger = (*natsLogger)(nil)

func (l *natsLogger) put(level slog.Level, format string, v []any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	l.log.Log(context.Background(), level, fmt.Sprintf(format, v...), "from", "nats-server")
}

// Noticef is logged at info level where debugging was asked for, else at debug level.
func (l *natsLogger) Noticef(format string, v ...any) {
	if l.debug {
		l.put(slog.LevelInfo, format, v)
		return
	}
	l.put(slog.LevelDebug, format, v)
}

// Warnf is logged, unless it is about what routeTLS turns off and does itself.
func (l *natsLogger) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "TLS certificate chain and hostname of solicited routes will not be verified") {
		l.Debugf(format, v...)
		return
	}
	l.put(slog.LevelWarn, format, v)
}

// Errorf is always logged, except for refused connections, which refusalLog reports.
// Errors about single clients are bounded warnings.
func (l *natsLogger) Errorf(format string, v ...any) {
	if strings.Contains(format, "authentication error") || (len(v) > 0 && fmt.Sprint(v[0]) == server.ErrAuthentication.Error()) {
		l.Debugf(format, v...)
		return
	}
	if strings.HasPrefix(format, "Error trying to connect to route") && l.isToOldRoute(fmt.Sprintf(format, v...)) {
		l.Debugf(format, v...)
		return
	}
	if strings.Contains(format, " - cid:") { // about a client, which can cause as many as it likes
		omitted, allowed := l.clients.next(time.Now())
		if omitted > 0 {
			l.log.Warn("clients caused more errors than are logged one by one", "omitted", omitted)
		}
		if allowed {
			l.put(slog.LevelWarn, format, v)
		}
		return
	}
	l.put(slog.LevelError, format, v)
}

// isToOldRoute is true of a line about an address at which no node is any more.
func (l *natsLogger) isToOldRoute(line string) bool {
	if l.oldRoutes == nil || l.oldRoutes.Load() == nil {
		return false
	}
	return slices.ContainsFunc(*l.oldRoutes.Load(), func(addr string) bool {
		host, _, _ := net.SplitHostPort(addr)
		return strings.Contains(line, " "+addr+": ") || net.ParseIP(host) == nil && strings.Contains(line, " "+host+": ")
	})
}

// SetOldRoutes names the addresses of --routes without a node. nats-server tries them for as
// long as it runs, and has no call that ends it: ReloadOptions would remove the accounts of
// identities and check every session again. So the log leaves these lines out.
func (s *Server) SetOldRoutes(addrs []string) {
	before := s.oldRoutes.Swap(&addrs)
	for _, addr := range addrs {
		if before == nil || !slices.Contains(*before, addr) {
			s.log.Info("an address of --routes leads to no node any more; errors about it are not logged", "addr", addr)
		}
	}
}

// Fatalf means that the server cannot go on; it does not end the process by itself.
func (l *natsLogger) Fatalf(format string, v ...any) { l.fatal(fmt.Sprintf(format, v...)) }

// Debugf is logged only where debugging was asked for.
func (l *natsLogger) Debugf(format string, v ...any) {
	if l.debug {
		l.put(slog.LevelDebug, format, v)
	}
}

// Tracef is never logged: it would show what users send.
func (l *natsLogger) Tracef(string, ...any) {}
