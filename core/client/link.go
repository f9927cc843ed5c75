package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
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
	up      bool
	session uint64
	lost    chan struct{} // closed when the session ends
}

func newLink() *link { return &link{bell: newBell(), lost: make(chan struct{})} }

func (l *link) set(up bool) {
	l.mu.Lock()
	if up && !l.up {
		l.session++
		l.lost = make(chan struct{})
	}
	if !up && l.up {
		close(l.lost)
	}
	l.up = up
	l.mu.Unlock()
	l.ring()
}

// now is the session, 0 while there is none, and what is closed when it ends.
func (l *link) now() (session uint64, lost <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up {
		return 0, l.lost
	}
	return l.session, l.lost
}

// wait returns the session once there is one.
func (l *link) wait(ctx context.Context) (uint64, error) {
	for {
		rung := l.rung()
		if session, _ := l.now(); session > 0 {
			return session, nil
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

// A node that hangs is noticed after pingEvery*(pingsOut+1).
const (
	pingEvery = 2 * time.Second
	pingsOut  = 2
	dialTime  = 2 * time.Second
	nextDial  = 100 * time.Millisecond // what others say meanwhile is missed
	lastDial  = 1600 * time.Millisecond
	refusals  = 2 * time.Second // a node without a control plane denies everybody for a moment
)

// connect tries all servers, again and again, for as long as Connect allows.
func (c *Client) connect(ctx context.Context) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Connect)
	defer cancel()
	for begin := time.Now(); ; {
		nc, err := nats.Connect(strings.Join(c.cfg.Servers, ","), opts...)
		if err == nil {
			c.nc = nc
			c.link.set(true)
			return nil
		}
		last := c.connectError(err)
		if core.KindOf(last) != core.KindUnavailable && time.Since(begin) > refusals || !pause(ctx, nextDial) {
			return last
		}
	}
}

func (c *Client) options() ([]nats.Option, error) {
	secure, err := c.cfg.tls()
	if err != nil {
		return nil, err
	}
	opts := []nats.Option{
		nats.Name(c.cfg.Name), nats.Nkey(c.id.Public(), c.id.Sign), nats.CustomInboxPrefix(control.InboxPrefix(c.id.Public())),
		nats.Timeout(min(dialTime, c.cfg.Connect)), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsOut),
		nats.MaxReconnects(-1), nats.CustomReconnectDelay(redial), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // nothing is sent later than its caller knows of
		nats.PermissionErrOnSubscribe(true),
		nats.DisconnectErrHandler(c.disconnected), nats.ReconnectHandler(c.reconnected), nats.ErrorHandler(c.complained),
	}
	if c.cfg.NoEcho {
		opts = append(opts, nats.NoEcho())
	}
	if secure != nil {
		opts = append(opts, nats.Secure(secure))
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
		return core.Errorf(core.KindRefused, "%s does not admit %s", at, c.me).
			WithNext("ask an administrator whether the user is known, active, and a member of at most %d rooms", control.MaxRooms)
	case errors.As(err, &unknownCA):
		return core.Errorf(core.KindRefused, "the certificate of %s is not trusted: %v", at, unknownCA.Err).
			WithNext("set CA to the authority's certificate")
	case errors.Is(err, nats.ErrSecureConnWanted), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return core.Errorf(core.KindRefused, "%s and this client disagree about TLS", at).
			WithNext("use tls:// and CA where the nodes have certificates, nats:// where they have none")
	}
	return core.Errorf(core.KindUnavailable, "no answer from %s: %s", at, sentence(err)).WithNext("check the addresses, and that unibusd runs there")
}

// sentence is an error's text without its library's name.
func sentence(err error) string {
	switch {
	case err == nil:
		return "no reason was given"
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
	c.each((*Room).renewed)
	c.log.Info("the session is renewed", "node", nc.ConnectedServerName())
	c.feed.tell(Connected{nc.ConnectedServerName()})
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// complained is told what a node refuses beside the conversation.
func (c *Client) complained(_ *nats.Conn, _ *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer): // the room sees it where it reads
	case errors.Is(err, nats.ErrPermissionViolation):
		c.each(func(r *Room) { r.notSent(err) })
	case errors.Is(err, nats.ErrAuthorization):
		c.log.Warn("no node admits this user just now", "user", c.me)
	default:
		c.log.Warn("the connection complains", "error", err)
	}
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
