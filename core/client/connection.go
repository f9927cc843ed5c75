package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/binding"
	"unibus/core/keys"
)

// broadcast wakes every goroutine that waits for a change.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

// changes returns a channel that is closed at the next change.
func (b *broadcast) changes() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

// sessionTracker tracks the sessions of the connection. Each has a number: a node
// decides the permissions when a session begins.
type sessionTracker struct {
	*broadcast
	mu      sync.Mutex
	last    uint64        // the last session
	current atomic.Uint64 // the session, 0 while there is none; changed under mu, read at each message
	lost    chan struct{} // closed when the session ends

	refusedSince time.Time // nodes have refused this user since then
	refusedLast  time.Time // and did so last
	refused      error     // they go on, so calls fail at once

	certificateFault func() *core.Error // says whether a node's certificate lets no session begin; nil before the first session
}

func newSessionTracker() *sessionTracker {
	return &sessionTracker{broadcast: newBroadcast(), lost: make(chan struct{})}
}

func (t *sessionTracker) set(up bool) {
	t.mu.Lock()
	switch was := t.current.Load() > 0; {
	case up && !was:
		t.last++
		t.current.Store(t.last)
		t.lost = make(chan struct{})
		t.refusedSince, t.refusedLast, t.refused = time.Time{}, time.Time{}, nil
	case was && !up:
		t.current.Store(0)
		close(t.lost)
	}
	t.mu.Unlock()
	t.notify()
}

// now is the session, 0 while there is none, and a channel that is closed when it ends.
func (t *sessionTracker) now() (session uint64, lost <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current.Load(), t.lost
}

// noteRefusal notes that a node has just refused this user. It returns true once,
// when refusals have continued for so long that waiting calls are to fail.
func (t *sessionTracker) noteRefusal(now time.Time, patience time.Duration, why error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.Load() > 0 || t.refused != nil {
		return false
	}
	if now.Sub(t.refusedLast) > max(patience, absentAfter) { // the first one, or the first one after the nodes were down
		t.refusedSince = now
	}
	t.refusedLast = now
	if now.Sub(t.refusedSince) < patience {
		return false
	}
	t.refused = why
	return true
}

// refusal is why there will be no session; nil if there may be one soon.
func (t *sessionTracker) refusal() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused
}

// wait returns the session once there is one. ErrRefused if the nodes refuse this user.
func (t *sessionTracker) wait(ctx context.Context) (uint64, error) {
	for {
		changed := t.changes()
		if session, _ := t.now(); session > 0 {
			return session, nil
		}
		if err := t.refusal(); err != nil {
			return 0, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, t.offline(ctx.Err())
		}
	}
}

func (t *sessionTracker) setCertificateFault(fault func() *core.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.certificateFault = fault
}

// offline is the error of a call that waited for a session, with the reason if that is a
// certificate.
func (t *sessionTracker) offline(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.certificateFault == nil {
		return offlineError(err)
	}
	if why := t.certificateFault(); why != nil {
		return newFault(core.KindUnavailable, ErrOffline, "there is no connection to a node: %s", why.Text).WithNext("%s", why.Next)
	}
	return offlineError(err)
}

func offlineError(err error) error {
	return newFault(core.KindUnavailable, ErrOffline, "there is no connection to a node: %s", errorText(err)).
		WithNext("the client reconnects by itself; check that a node runs, and try again")
}

// A node that hangs is detected after pingInterval*(maxPingsOut+1), or after
// writeTimeout if it reads nothing: every call waits for a blocked write.
const (
	writeTimeout = pingInterval * maxPingsOut
	pingInterval = 2 * time.Second
	maxPingsOut  = 2
	dialTimeout  = 2 * time.Second
	minDialWait  = 100 * time.Millisecond // messages are missed meanwhile
	maxDialWait  = 1600 * time.Millisecond
	refusalGrace = 2 * time.Second                 // a node of an earlier release refuses every user while it cannot decide
	absentAfter  = 2 * (maxDialWait + dialTimeout) // nodes that have refused no login for so long were down
)

// connect tries all servers again and again, until Connect is over.
func (c *Client) connect(ctx context.Context) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Connect)
	defer cancel()
	var last error
	for begin := time.Now(); ; {
		nc, final, err := dialAny(ctx, c.cfg.Servers, opts)
		if err == nil {
			c.nc = nc
			c.session.setCertificateFault(func() *core.Error { return c.certificateError(nc.LastError()) })
			return nil
		}
		if last == nil || ctx.Err() == nil { // else the error of a node from before the timeout
			last = c.connectError(err)
		}
		if final && core.KindOf(last) != core.KindUnavailable && time.Since(begin) > refusalGrace || !sleep(ctx, minDialWait) {
			return last
		}
	}
}

func (c *Client) options() ([]nats.Option, error) {
	secure, err := c.cfg.tls()
	if err != nil {
		return nil, err
	}
	opts := append(secure,
		nats.Name(c.cfg.Name), nats.Nkey(c.id.Public(), c.id.SignNonce), nats.CustomInboxPrefix(auth.InboxPrefix(c.id.Public())),
		nats.Timeout(min(dialTimeout, c.cfg.Connect)), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPingsOut),
		nats.FlusherTimeout(writeTimeout), nats.ReconnectOnFlusherError(), // unwritten messages are lost, and a session that continues would hide that
		nats.MaxReconnects(-1), nats.CustomReconnectDelay(dialWait), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1),                                  // a message is never sent after Send has returned an error
		nats.PermissionErrOnSubscribe(true), nats.SyncQueueLen(16), // the library allocates so many; only probes use it here
		nats.ConnectHandler(func(*nats.Conn) { c.session.set(true) }), // is called before the other handlers
		nats.DisconnectErrHandler(c.onDisconnect), nats.ReconnectHandler(c.onReconnect), nats.ErrorHandler(c.onAsyncError),
	)
	if c.cfg.NoEcho {
		opts = append(opts, nats.NoEcho())
	}
	if c.cfg.TLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	return opts, nil
}

// dialWait is the wait after all servers were tried.
func dialWait(rounds int) time.Duration {
	wait := min(minDialWait<<min(max(rounds-1, 0), 8), maxDialWait)
	return wait/2 + rand.N(wait/2)
}

func (c *Client) connectError(err error) error {
	at := strings.Join(c.cfg.Servers, ", ")
	refused := c.certificateError(err)
	switch {
	case refused != nil:
		return refused
	case errors.Is(err, nats.ErrAuthorization), strings.Contains(err.Error(), "Authorization Violation"):
		return c.refusedError()
	case errors.Is(err, nats.ErrSecureConnWanted), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return core.Errorf(core.KindRefused, "%s and this client disagree about TLS", at).
			WithNext("use tls:// and CA where the nodes have certificates, nats:// where they have none")
	case binding.Undecided(err):
		return core.Errorf(core.KindUnavailable, "%s: the nodes cannot determine now whether %s is a user, and closed the connection without an answer", at, c.me).
			WithNext("try again; if that continues, ask an operator whether a majority of the nodes runs")
	}
	return core.Errorf(core.KindUnavailable, "no answer from %s: %s", at, errorText(err)).WithNext("check the addresses, and that unibusd runs there")
}

// certificateError is nil unless err is about the certificate of a node.
func (c *Client) certificateError(err error) *core.Error {
	return keys.RefusedCertificate(err, strings.Join(c.cfg.Servers, ", "), c.cfg.CA, "Config.CA", time.Now())
}

// refusedError says that the nodes refuse this user. They do not say why.
func (c *Client) refusedError() error {
	return newFault(core.KindRefused, ErrRefused, "%s: the nodes refuse %s", strings.Join(c.cfg.Servers, ", "), c.me).
		WithNext("ask an administrator whether the user is known and active; the client keeps trying")
}

// errorText is an error's text without the library's name.
func errorText(err error) string {
	switch {
	case err == nil:
		return "the session has just ended"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled by the caller"
	}
	return strings.TrimPrefix(err.Error(), "nats: ")
}

func (c *Client) onDisconnect(_ *nats.Conn, err error) {
	if c.life.Err() != nil {
		return
	}
	c.session.set(false)
	c.eachRoom((*roomLoop).sessionChanged)
	c.log.Info("the session with a node has ended", "reason", errorText(err))
	c.events.emit(Disconnected{offlineError(err)})
}

func (c *Client) onReconnect(nc *nats.Conn) {
	c.session.set(true)
	c.eachRoom(func(l *roomLoop) { l.setRefused(nil) })
	c.eachRoom((*roomLoop).sessionChanged)
	c.log.Info("the session is renewed", "node", nc.ConnectedServerName())
	c.events.emit(Connected{nc.ConnectedServerName()})
	select {
	case c.sessionRenewed <- struct{}{}:
	default:
	}
}

// onAsyncError is the library's handler for errors that belong to no call.
func (c *Client) onAsyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		c.each(func(r *Room) { r.onSlowConsumer(sub) })
	case errors.Is(err, nats.ErrPermissionViolation):
		c.each(func(r *Room) { r.onPublishRefused(err) }) // a probe finds out whether a subscription is allowed
	case errors.Is(err, nats.ErrAuthorization):
		c.onRefused()
	default:
		c.log.Warn("the connection reported an error", "error", err)
	}
}

// onRefused is called each time that a node refuses this user. A node of an earlier
// release refuses every user while it cannot decide, so only continued refusals count.
func (c *Client) onRefused() {
	why := c.refusedError()
	if !c.session.noteRefusal(time.Now(), c.timing.refusedFor, why) {
		return
	}
	c.log.Warn("the nodes refuse this user", "user", c.me)
	c.session.notify()
	c.eachRoom(func(l *roomLoop) { l.setRefused(why) })
	c.events.emit(Refused{why})
}

// each calls f for every open room.
func (c *Client) each(f func(*Room)) {
	c.mu.Lock()
	var rooms []*Room
	for _, r := range c.rooms {
		rooms = append(rooms, r)
	}
	c.mu.Unlock()
	for _, r := range rooms {
		f(r)
	}
}

// eachRoom has the goroutine of every open room call f.
func (c *Client) eachRoom(f func(*roomLoop)) {
	c.each(func(r *Room) { r.do(f) })
}
