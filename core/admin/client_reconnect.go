package admin

import (
	"net"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// dialer opens the connections of a Client, and notes what becomes of each: nats.go goes on with the
// next server, and tells nobody why.
type dialer struct {
	c    *Client
	each time.Duration // for one server
}

// Dial is net.Dialer's.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	d.c.noteLast()
	conn, err := (&net.Dialer{Timeout: d.each}).Dial(network, address)
	if err != nil {
		d.c.noteReconnect(address, connectFault(err), "start unibusd there; if it runs, see that this port of it can be reached from here")
		return nil, err
	}
	dialed := &dialedConn{Conn: conn, address: address}
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	d.c.dialed = dialed
	return dialed, nil
}

// SkipHostLookup leaves the address as the operator wrote it, and the lookup to net.Dialer.
func (d dialer) SkipHostLookup() bool { return true }

// dialedConn knows whether its server has said anything: one that hangs takes connections and does not.
type dialedConn struct {
	net.Conn
	address string
	heard   atomic.Bool
}

// Read is the connection's.
func (d *dialedConn) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if n > 0 {
		d.heard.Store(true)
	}
	return n, err
}

// noteLast notes why the server that was dialed last is dialed no longer. nats.go leaves the connection open
// where the server has said nothing.
func (c *Client) noteLast() {
	c.mu.Lock()
	last := c.dialed
	c.dialed = nil
	c.mu.Unlock()
	switch {
	case last == nil:
	case last.heard.Load():
		c.noteReconnect(last.address, connectionEnded, "see the log of unibusd there: `journalctl -u unibusd`")
	default:
		c.noteReconnect(last.address, "it takes connections and does not answer: its process hangs", "restart unibusd there")
		_ = last.Conn.Close()
	}
}

// connectionEnded is the fault of a server that has said something: nats.go knows more.
const connectionEnded = "the connection ended"

// noteReconnect notes why a server could not be reached. nats.go holds its lock meanwhile, so
// that this may not ask the connection anything.
func (c *Client) noteReconnect(address, why, next string) {
	i := slices.IndexFunc(c.cfg.Servers, func(server string) bool { return hostPort(server) == address })
	if i < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reconnects == nil {
		c.reconnects = make([]Attempt, len(c.cfg.Servers))
	}
	if a := &c.reconnects[i]; a.Why != why {
		*a = Attempt{Server: c.cfg.Servers[i], Why: why, Next: next, Since: time.Now()}
	}
}

// forgetReconnects begins anew once a connection is lost: what was noted before it came about is over.
func (c *Client) forgetReconnects(*nats.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reconnects = nil
}

// lostAttempts are why no server can be reached since the connection was lost; nil while there is one, and before the first.
func (c *Client) lostAttempts() []Attempt {
	s := c.session.Load()
	if s == nil || s.nc.IsClosed() || s.nc.IsConnected() {
		return nil
	}
	last := s.nc.LastError()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Attempt, len(c.cfg.Servers))
	copy(out, c.reconnects)
	for i := range out {
		out[i].Server = c.cfg.Servers[i]
		if last == nil || out[i].Why != connectionEnded {
			continue
		}
		if e := core.AsError(c.connectError(last, out[i].Server)); e.Kind == core.KindRefused {
			out[i].Why, out[i].Next = e.Text, e.Next
		}
	}
	return out
}

// hostPort is the address of a server as it is dialed.
func hostPort(server string) string {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "":
		return server
	case u.Port() == "":
		return net.JoinHostPort(u.Hostname(), "4222")
	}
	return u.Host
}
