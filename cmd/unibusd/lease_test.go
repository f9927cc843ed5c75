package main

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestPausedNodeDropsItsLease stops a whole process for longer than its lease
// holds, revokes a user meanwhile, and lets the user knock while the process
// stands still: when it goes on it must not let them in on what it knew.
func TestPausedNodeDropsItsLease(t *testing.T) {
	t.Parallel()
	const lease, knocks = 3 * time.Second, 30
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	cl := p.Client(0, 1)
	nodetest.Wait(t, bootBudget, func() error { return replicated(t, cl, 3) })
	gone, stays := nodetest.Identity(t), nodetest.Identity(t)
	for _, id := range []string{gone.Public(), stays.Public()} {
		if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(id)}); err != nil {
			t.Fatal(err)
		}
	}
	session, err := p.Connect(2, gone) // from now on the node has a lease
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()

	p.Signal(2, syscall.SIGSTOP)
	stopped := time.Now()
	nodetest.Wait(t, 30*time.Second, func() error { // where it led a bucket, others are elected first
		u, err := cl.UserGet(t.Context(), gone.Public())
		if err == nil && u.Status == core.UserRevoked {
			return nil
		}
		_, err = cl.UserRevoke(t.Context(), gone.Public())
		return errors.Join(errors.New("not revoked yet"), err)
	})
	nodetest.Wait(t, 30*time.Second, func() error {
		if left := lease + time.Second - time.Since(stopped); left > 0 {
			return fmt.Errorf("the lease may hold for another %s", left)
		}
		return nil
	})
	var all sync.WaitGroup
	admitted := make(chan *nats.Conn, knocks)
	for range knocks {
		all.Go(func() {
			if nc, err := p.Connect(2, gone); err == nil {
				admitted <- nc
			}
		})
	}
	p.Signal(2, syscall.SIGCONT)
	all.Wait()
	close(admitted)
	for nc := range admitted {
		t.Error("a revoked user was let in by a process that had stood still")
		nc.Close()
	}
	nodetest.Wait(t, 10*time.Second, func() error {
		if !session.IsClosed() {
			return errors.New("the session from before is still open")
		}
		return nil
	})
	nodetest.Wait(t, bootBudget, func() error {
		nc, err := p.Connect(2, stays)
		if err == nil {
			nc.Close()
		}
		return err
	})
}
