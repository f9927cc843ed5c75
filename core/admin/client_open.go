package admin

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/binding"
)

// Attempt is what trying to connect to a server has brought.
type Attempt struct {
	Server string
	Why    string    // it does not answer; "": it was not tried yet
	Next   string    // what to do
	Since  time.Time // when the first try ended like this
}

// retryEvery is the pause between two rounds of OpenUntilDone.
const retryEvery = time.Second

// OpenUntilDone tries each server until one admits the identity, or ctx ends, and true says
// so. Until then every request is KindUnavailable and Attempts says why, in the words of explain.
// A server that refuses is tried again, too: the operator may be putting that right.
func (c *Client) OpenUntilDone(ctx context.Context, explain func(error) error) bool {
	c.mu.Lock()
	c.attempts = make([]Attempt, len(c.cfg.Servers))
	for i, server := range c.cfg.Servers {
		c.attempts[i].Server = server
	}
	c.mu.Unlock()
	for {
		for i := range c.cfg.Servers {
			err := c.openAt(ctx, i)
			if ctx.Err() != nil {
				return false
			}
			if err == nil {
				c.note(i, nil)
				return true
			}
			c.note(i, explain(err))
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryEvery):
		}
	}
}

func (c *Client) openAt(ctx context.Context, i int) error {
	server := c.cfg.Servers[i]
	nc, _, err := binding.Dial(ctx, []string{server}, c.options(dialTime))
	if err != nil {
		return c.connectError(err, server)
	}
	if err := nc.SetServerPool(c.cfg.Servers); err != nil { // the connection was closed meanwhile
		nc.Close()
		return c.connectError(err, server)
	}
	return c.proveCluster(ctx, nc)
}

// isOpen is false until Open or OpenUntilDone has found a server that proves its cluster.
func (c *Client) isOpen() bool {
	s := c.session.Load()
	return s != nil && (!s.nc.IsClosed() || !c.isOpening())
}

func (c *Client) note(i int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.attempts = nil
		return
	}
	a, why := &c.attempts[i], connectFault(err)
	if a.Why != why {
		a.Since = time.Now()
	}
	a.Why, a.Next = why, core.AsError(err).Next
}

// connectFault is why a server does not answer, in few words where it is a plain reason.
func connectFault(err error) string {
	var lookup *net.DNSError
	var slow interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, nats.ErrNoServers): // the second is what nats.go makes of the first
		return "connection refused"
	case errors.As(err, &lookup):
		return "the name cannot be resolved"
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return "no answer"
	}
	return core.AsError(err).Text
}

// Attempts are what was tried while there is no connection, in the order of the servers: by
// OpenUntilDone, and later since the connection was lost. None while there is one.
func (c *Client) Attempts() []Attempt {
	if lost := c.lostAttempts(); lost != nil {
		return lost
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.attempts)
}

func (c *Client) isOpening() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.attempts) > 0
}

// notOpen is the error of a request before a server has answered: why the first one does not.
func (c *Client) notOpen() error {
	for _, a := range c.Attempts() {
		if a.Why != "" {
			return core.Errorf(core.KindUnavailable, "not connected yet: %s: %s", a.Server, a.Why).WithOutcome(core.OutcomeNone).WithNext("%s", a.Next)
		}
	}
	return core.Errorf(core.KindUnavailable, "not connected yet").WithOutcome(core.OutcomeNone).WithNext("wait: every server is being tried")
}
