package node_test

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/node"
	"unibus/core/nodetest"
)

// TestStateOfHeartbeats: the state in a node's heartbeat stands still in a cluster at rest, or
// every node would be asked each second, and a write changes it on every node.
func TestStateOfHeartbeats(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(0, c.Admin)
	states := func() (out [3]string) {
		for i, n := range c.Nodes {
			out[i] = node.ObservedState(n)
		}
		return out
	}
	var calm [3]string
	since := time.Now()
	nodetest.Wait(t, 60*time.Second, func() error {
		if now := states(); now != calm {
			calm, since = now, time.Now()
		}
		if left := 2*time.Second - time.Since(since); left > 0 {
			return fmt.Errorf("the states still change: %v", calm)
		}
		return nil
	})
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())}); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 20*time.Second, func() error {
		for i, state := range states() {
			if state == calm[i] || state == "" {
				return fmt.Errorf("n%d says that nothing has changed", i+1)
			}
		}
		return nil
	})
	for i, n := range c.Nodes {
		if seq, ok := node.LastSeq(n, "KV_UNIBUS_users"); !ok || seq == 0 {
			t.Errorf("n%d does not know its replica: %d, %v", i+1, seq, ok)
		}
		if _, ok := node.LastSeq(n, "none"); ok {
			t.Errorf("n%d knows a replica of no stream", i+1)
		}
	}
}
