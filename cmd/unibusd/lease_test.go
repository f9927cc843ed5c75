package main

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestPausedNodeDropsItsLease stops a whole process for longer than its lease holds,
// and revokes a user meanwhile. The user's client is connected by then, and has sent
// its whole login while the process stands still.
//
// When it goes on, the user's words are as near to it as its peers' are. Without
// a lease it would let them in on what it knew. (A user who begins to knock only
// then has to answer the node's greeting first, and by then the node has
// mostly heard of the revocation.)
func TestPausedNodeDropsItsLease(t *testing.T) {
	t.Parallel()
	const lease, knocks, node = 3 * time.Second, 30, 2
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	cl := p.Client(0, 1)
	nodetest.Wait(t, bootBudget, func() error { return replicated(t, cl, 3) })
	ledElsewhere(t, p, node)
	gone, stays := nodetest.Identity(t), nodetest.Identity(t)
	for _, id := range []string{gone.Public(), stays.Public()} {
		if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(id)}); err != nil {
			t.Fatal(err)
		}
	}
	session, err := p.Connect(node, gone) // from now on the node has a lease
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	door := &door{open: make(chan struct{})}
	outcomes := make(chan *nats.Conn, knocks)
	for range knocks {
		go func() {
			nc, _ := p.Connect(node, gone, nats.SetCustomDialer(door), nats.Timeout(30*time.Second))
			outcomes <- nc
		}()
	}
	allHave(t, "been greeted", &door.greeted, knocks)

	p.Signal(node, syscall.SIGSTOP)
	stopped := time.Now()
	revoke(t, cl, gone)
	nodetest.Wait(t, 30*time.Second, func() error {
		if left := lease + 200*time.Millisecond - time.Since(stopped); left > 0 {
			return fmt.Errorf("the lease may hold for another %s", left)
		}
		return nil
	})
	close(door.open)
	allHave(t, "said who they are", &door.said, knocks)
	p.Signal(node, syscall.SIGCONT)
	t.Logf("the process stood still for %s", time.Since(stopped).Round(time.Millisecond))
	for range knocks {
		if nc := <-outcomes; nc != nil {
			t.Error("a revoked user was let in by a process that had stood still")
			nc.Close()
		}
	}
	nodetest.Wait(t, 10*time.Second, func() error {
		if !session.IsClosed() {
			return errors.New("the session from before is still open")
		}
		return nil
	})
	nodetest.Wait(t, bootBudget, func() error {
		nc, err := p.Connect(node, stays)
		if err == nil {
			nc.Close()
		}
		return err
	})
}

// revoke tries until it is acknowledged.
func revoke(t *testing.T, cl *admin.Client, id keys.Identity) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		u, err := cl.UserGet(t.Context(), id.Public())
		if err == nil && u.Status == core.UserRevoked {
			return nil
		}
		_, err = cl.UserRevoke(t.Context(), id.Public())
		return errors.Join(errors.New("not revoked yet"), err)
	})
}

func allHave(t *testing.T, what string, have *atomic.Int32, want int32) {
	t.Helper()
	nodetest.Wait(t, 10*time.Second, func() error {
		if n := have.Load(); n != want {
			return fmt.Errorf("%d of %d clients have %s", n, want, what)
		}
		return nil
	})
}

// ledElsewhere makes another node lead what that node leads: a revocation has to
// be acknowledged within the time that a server gives a client to say who it is.
func ledElsewhere(t *testing.T, p *nodetest.Processes, node int) {
	t.Helper()
	cl := p.Client(0)
	nodetest.Wait(t, bootBudget, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		for _, b := range st.Buckets {
			if b.Leader == p.Configs[node].Name || b.Leader == "" {
				_, err := cl.StepDown(t.Context(), b.Name, p.Configs[0].Name)
				return errors.Join(fmt.Errorf("%s is led by %q", b.Name, b.Leader), err)
			}
		}
		return nil
	})
}

// door lets clients be greeted and keeps what they say until it is opened.
type door struct {
	open    chan struct{}
	greeted atomic.Int32 // clients that were told what to sign
	said    atomic.Int32 // and have signed
}

// Dial implements nats.CustomDialer.
func (d *door) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &atDoor{Conn: conn, door: d}, nil
}

// atDoor is one client's connection. A client speaks first when it has been greeted.
type atDoor struct {
	net.Conn
	door   *door
	spoken atomic.Bool
}

func (c *atDoor) Write(b []byte) (int, error) {
	if c.spoken.Swap(true) {
		return c.Conn.Write(b)
	}
	c.door.greeted.Add(1)
	<-c.door.open
	defer c.door.said.Add(1)
	return c.Conn.Write(b)
}
