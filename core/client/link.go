package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/control"
)

// bell wakes everybody who waits for a change.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBell() *bell { return &bell{ch: make(chan struct{})} }

// rung is closed at the next change.
func (b *bell) rung() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

// link is what is known of the connection. Each session has a number: what a
// node allows is decided when a session begins.
type link struct {
	*bell
	mu      sync.Mutex
	session uint64        // the last one
	current atomic.Uint64 // the session, 0 while there is none; changed under mu, read at each message
	lost    chan struct{} // closed when the session ends
	since   time.Time     // nodes refuse this user since then, and last did so then
	last    time.Time
	denied  error // they do for good, as far as can be told
}

func newLink() *link { return &link{bell: newBell(), lost: make(chan struct{})} }

func (l *link) set(up bool) {
	l.mu.Lock()
	switch was := l.current.Load() > 0; {
	case up && !was:
		l.session++
		l.current.Store(l.session)
		l.lost = make(chan struct{})
		l.since, l.last, l.denied = time.Time{}, time.Time{}, nil
	case was && !up:
		l.current.Store(0)
		close(l.lost)
	}
	l.mu.Unlock()
	l.ring()
}

// now is the session, 0 while there is none, and what is closed when it ends.
func (l *link) now() (session uint64, lost <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current.Load(), l.lost
}

// refuse notes that a node has just refused this user. It is true once, when
// that has gone on for so long that it is said to everybody who waits.
func (l *link) refuse(now time.Time, patience time.Duration, why error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current.Load() > 0 || l.denied != nil {
		return false
	}
	if now.Sub(l.last) > max(patience, away) { // the first, or the first of nodes that were away
		l.since = now
	}
	l.last = now
	if now.Sub(l.since) < patience {
		return false
	}
	l.denied = why
	return true
}

// refusal is why there will be no session, as far as can be told; nil where there may be one soon.
func (l *link) refusal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.denied
}

// wait returns the session once there is one. ErrRefused where the nodes refuse this user.
func (l *link) wait(ctx context.Context) (uint64, error) {
	for {
		rung := l.rung()
		if session, _ := l.now(); session > 0 {
			return session, nil
		}
		if err := l.refusal(); err != nil {
			return 0, err
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return 0, offline(ctx.Err())
		}
	}
}

func offline(err error) error {
	return fault(core.KindUnavailable, ErrOffline, "there is no connection to a node: %s", sentence(err)).
		WithNext("it is being made again; try again, and see that a node runs")
}

// A node that hangs is noticed after pingEvery*(pingsOut+1), or where it takes
// nothing any more after stuck: as long as a write waits for it, everything does.
const (
	stuck     = pingEvery * pingsOut
	pingEvery = 2 * time.Second
	pingsOut  = 2
	dialTime  = 2 * time.Second
	nextDial  = 100 * time.Millisecond // what others say meanwhile is missed
	lastDial  = 1600 * time.Millisecond
	refusals  = 2 * time.Second           // a node without a control plane denies everybody for a moment
	away      = 2 * (lastDial + dialTime) // nodes that have refused nobody for so long were not there
)

// connect tries all servers, again and again, for as long as Connect allows.
func (c *Client) connect(ctx context.Context) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Connect)
	defer cancel()
	var last error
	for begin := time.Now(); ; {
		nc, err := dial(ctx, strings.Join(c.cfg.Servers, ","), opts)
		if err == nil {
			c.nc = nc
			return nil
		}
		if last == nil || ctx.Err() == nil { // else what a node said before the time was over
			last = c.connectError(err)
		}
		if core.KindOf(last) != core.KindUnavailable && time.Since(begin) > refusals || !pause(ctx, nextDial) {
			return last
		}
	}
}

// dial connects, and gives up when ctx ends, which the library does not: what
// it still brings then is closed.
func dial(ctx context.Context, servers string, opts []nats.Option) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	come := make(chan result, 1)
	go func() {
		nc, err := nats.Connect(servers, opts...)
		come <- result{nc, err}
	}()
	select {
	case r := <-come:
		return r.nc, r.err
	case <-ctx.Done():
		go func() {
			if r := <-come; r.err == nil {
				r.nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func (c *Client) options() ([]nats.Option, error) {
	secure, err := c.cfg.tls()
	if err != nil {
		return nil, err
	}
	opts := []nats.Option{
		nats.Name(c.cfg.Name), nats.Nkey(c.id.Public(), c.id.SignNonce), nats.CustomInboxPrefix(control.InboxPrefix(c.id.Public())),
		nats.Timeout(min(dialTime, c.cfg.Connect)), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsOut),
		nats.FlusherTimeout(stuck), nats.ReconnectOnFlusherError(), // what was not written is gone: a session that goes on would hide that
		nats.MaxReconnects(-1), nats.CustomReconnectDelay(redial), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1),                                  // nothing is sent later than its caller knows of
		nats.PermissionErrOnSubscribe(true), nats.SyncQueueLen(16), // the library makes room for so many at once; here only probes need it
		nats.ConnectHandler(func(*nats.Conn) { c.link.set(true) }), // comes before what happens to the connection later
		nats.DisconnectErrHandler(c.disconnected), nats.ReconnectHandler(c.reconnected), nats.ErrorHandler(c.complained),
	}
	if c.cfg.NoEcho {
		opts = append(opts, nats.NoEcho())
	}
	if secure != nil {
		opts = append(opts, nats.Secure(secure))
	}
	if c.cfg.TLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	return opts, nil
}

// redial is how long to wait once all servers were tried.
func redial(rounds int) time.Duration {
	wait := min(nextDial<<min(max(rounds-1, 0), 8), lastDial)
	return wait/2 + rand.N(wait/2)
}

func (c *Client) connectError(err error) error {
	at := strings.Join(c.cfg.Servers, ", ")
	var unknownCA *tls.CertificateVerificationError
	switch {
	case errors.Is(err, nats.ErrAuthorization), strings.Contains(err.Error(), "Authorization Violation"):
		return c.refused()
	case errors.As(err, &unknownCA):
		return core.Errorf(core.KindRefused, "the certificate of %s is not trusted: %v", at, unknownCA.Err).
			WithNext("set CA to the authority's certificate")
	case errors.Is(err, nats.ErrSecureConnWanted), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return core.Errorf(core.KindRefused, "%s and this client disagree about TLS", at).
			WithNext("use tls:// and CA where the nodes have certificates, nats:// where they have none")
	}
	return core.Errorf(core.KindUnavailable, "no answer from %s: %s", at, sentence(err)).WithNext("check the addresses, and that unibusd runs there")
}

// refused says that the nodes do not want this user. They cannot say why.
func (c *Client) refused() error {
	return fault(core.KindRefused, ErrRefused, "%s: no node there that answers admits %s", strings.Join(c.cfg.Servers, ", "), c.me).
		WithNext("ask an administrator whether the user is known and active; it is tried again all the time")
}

// sentence is an error's text without its library's name.
func sentence(err error) string {
	switch {
	case err == nil:
		return "it has just ended"
	case errors.Is(err, context.DeadlineExceeded):
		return "not in time"
	case errors.Is(err, context.Canceled):
		return "given up by the caller"
	}
	return strings.TrimPrefix(err.Error(), "nats: ")
}

func (c *Client) disconnected(_ *nats.Conn, err error) {
	if c.life.Err() != nil {
		return
	}
	c.link.set(false)
	c.each((*Room).renewed)
	c.log.Info("the session with a node has ended", "reason", sentence(err))
	c.feed.tell(Disconnected{offline(err)})
}

func (c *Client) reconnected(nc *nats.Conn) {
	c.link.set(true)
	c.each(func(r *Room) { r.denied(nil) })
	c.each((*Room).renewed)
	c.log.Info("the session is renewed", "node", nc.ConnectedServerName())
	c.feed.tell(Connected{nc.ConnectedServerName()})
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// complained is told what a node refuses beside the conversation.
func (c *Client) complained(_ *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		c.each(func(r *Room) { r.slowed(sub) })
	case errors.Is(err, nats.ErrPermissionViolation):
		c.each(func(r *Room) { r.notSent(err) }) // what may not be heard is found out by a probe
	case errors.Is(err, nats.ErrAuthorization):
		c.shunned()
	default:
		c.log.Warn("the connection complains", "error", err)
	}
}

// shunned is told each time that a node refuses this user. A node without a
// control plane refuses everybody for a moment, so it counts once it goes on.
func (c *Client) shunned() {
	why := c.refused()
	if !c.link.refuse(time.Now(), c.pace.refused, why) {
		return
	}
	c.log.Warn("the nodes refuse this user", "user", c.me)
	c.link.ring()
	c.each(func(r *Room) { r.denied(why) })
	c.feed.tell(Refused{why})
}

// each calls f for every room that is open.
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
