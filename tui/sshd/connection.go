package sshd

import (
	"context"
	"net"
	"sync"
	"time"

	"charm.land/ssh"

	"unibus/core"
)

// Limits of a connection before it has a session. At a limit the server closes the oldest one, so that a flood
// keeps no person out for longer than a handshake.
const (
	maxWaiting           = 128
	maxWaitingPerAddress = 32
	sessionDelay         = 10 * time.Second // between login and session, and for the end of one
	endGrace             = 500 * time.Millisecond
)

type connectionKey struct{}

func connectionOf(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

// connection is one TCP connection, and the session that it has at the most.
type connection struct {
	net.Conn
	set     *connections
	address string // without the port
	opened  time.Time

	mu        sync.Mutex
	asked     bool // for the operators in force
	session   sessionState
	operator  core.Operator
	key       ssh.PublicKey // by which the operator logged in
	lastInput time.Time
	endedAt   time.Time     // of the session
	end       chan struct{} // closed when the session shall end
	reason    *core.Error   // why
	requests  sessionRequests
}

type sessionState int

// The states of a connection's session.
const (
	noSession sessionState = iota
	sessionRuns
	sessionEnded
)

// Close also takes the connection out of the set. Twice is harmless.
func (c *connection) Close() error {
	c.set.remove(c)
	return c.Conn.Close()
}

// isFirstKey is true once. A client offers several keys, and the nodes are asked for the first of them.
func (c *connection) isFirstKey() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.asked
	c.asked = true
	return first
}

// begin gives the connection its session. false: it has had one.
func (c *connection) begin(op core.Operator, key ssh.PublicKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != noSession {
		return false
	}
	c.session, c.operator, c.key, c.lastInput = sessionRuns, op, key, time.Now()
	return true
}

func (c *connection) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.endedAt = sessionEnded, time.Now()
}

// endSession asks the session to end, and closes the connection soon whatever it does: its terminal may
// take no text.
func (c *connection) endSession(reason *core.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return
	}
	c.reason = reason
	close(c.end)
	time.AfterFunc(endGrace, func() { _ = c.Close() })
}

func (c *connection) endReason() *core.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

func (c *connection) noteInput() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastInput = time.Now()
}

// connections are all of the server, within bounds.
type connections struct {
	maxSessions int

	mu  sync.Mutex
	all []*connection // by age
}

func newConnections(maxSessions int) *connections { return &connections{maxSessions: maxSessions} }

// add is the callback of a new connection.
func (cs *connections) add(ctx ssh.Context, nc net.Conn) net.Conn {
	c := &connection{Conn: nc, set: cs, address: hostOf(nc.RemoteAddr()), opened: time.Now(), end: make(chan struct{})}
	c.requests.resized = make(chan struct{}, 1)
	ctx.SetValue(connectionKey{}, c)
	cs.mu.Lock()
	cs.all = append(cs.all, c)
	surplus := cs.surplus(c.address)
	cs.mu.Unlock()
	if surplus != nil {
		_ = surplus.Close()
	}
	return c
}

// surplus is the oldest connection without a session, if there are too many of an address or at all.
// The caller holds the lock.
func (cs *connections) surplus(address string) *connection {
	var oldest, oldestHere *connection
	waiting, here := 0, 0
	for _, c := range cs.all {
		if c.state() != noSession {
			continue
		}
		if waiting++; oldest == nil {
			oldest = c
		}
		if c.address != address {
			continue
		}
		if here++; oldestHere == nil {
			oldestHere = c
		}
	}
	switch {
	case here > maxWaitingPerAddress:
		return oldestHere
	case waiting > maxWaiting:
		return oldest
	}
	return nil
}

func (c *connection) state() sessionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// beginSession gives a connection its session, or says why it gets none. One operator leaves a quarter of
// the sessions to the others.
func (cs *connections) beginSession(c *connection, op core.Operator, key ssh.PublicKey) *core.Error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	all, own := 0, 0
	for _, other := range cs.all {
		other.mu.Lock()
		if other.session == sessionRuns {
			all++
			if other.operator.Key == op.Key {
				own++
			}
		}
		other.mu.Unlock()
	}
	most := max(1, cs.maxSessions*3/4)
	switch {
	case all >= cs.maxSessions:
		return core.Errorf(core.KindUnavailable, "%d sessions are open, and there may be no more", all).WithNext("close one, or raise --max-sessions")
	case own >= most:
		return core.Errorf(core.KindUnavailable, "%s has %d sessions open, and may have no more", op.Name, own).WithNext("close one")
	case !c.begin(op, key):
		return core.Errorf(core.KindRefused, "this connection has had its session").WithNext("connect again")
	}
	return nil
}

func (cs *connections) haveSession() bool {
	for _, c := range cs.list() {
		if c.state() == sessionRuns {
			return true
		}
	}
	return false
}

func (cs *connections) list() []*connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return append([]*connection(nil), cs.all...)
}

func (cs *connections) remove(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for i, other := range cs.all {
		if other == c {
			cs.all = append(cs.all[:i], cs.all[i+1:]...)
			return
		}
	}
}

func (cs *connections) closeAll() {
	for _, c := range cs.list() {
		_ = c.Close()
	}
}

// closeExpired ends idle sessions, connections that wait for too long, and the sessions of keys that
// belong to no operator.
func (cs *connections) closeExpired(now time.Time, idle time.Duration, isOperator func(core.Operator, ssh.PublicKey) bool) {
	for _, c := range cs.list() {
		c.mu.Lock()
		state, op, key, lastInput, endedAt := c.session, c.operator, c.key, c.lastInput, c.endedAt
		c.mu.Unlock()
		switch {
		case state == noSession && now.Sub(c.opened) > 2*sessionDelay, state == sessionEnded && now.Sub(endedAt) > sessionDelay:
			_ = c.Close()
		case state == sessionRuns && !isOperator(op, key):
			c.endSession(core.Errorf(core.KindRefused, "the session was ended: the nodes do not admit the key of %s any more", op.Name).
				WithNext("ask an admin of the cluster"))
		case state == sessionRuns && now.Sub(lastInput) > idle:
			c.endSession(core.Errorf(core.KindUnavailable, "the session was ended: no key was pressed for %s", idle).WithNext("connect again"))
		}
	}
}

func hostOf(addr net.Addr) string {
	if host, _, err := net.SplitHostPort(addr.String()); err == nil {
		return host
	}
	return addr.String()
}
