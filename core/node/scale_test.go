package node_test

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// allHaveFive is nil once every bucket, the internal ones included, has five replicas.
func allHaveFive(t *testing.T, cl *admin.Client) error {
	t.Helper()
	st, err := cl.Status(t.Context())
	if err != nil {
		return err
	}
	if len(st.Mechanism) != 3 {
		return fmt.Errorf("the internal buckets are %+v", st.Mechanism)
	}
	for _, b := range st.AllBuckets() {
		if b.Wanted != 5 || len(b.Replicas) != 5 {
			return fmt.Errorf("%s has %d replicas", b.Name, b.Wanted)
		}
	}
	return nil
}

// TestNewClusterOfFiveHasFiveReplicas from its beginning, without a command.
func TestNewClusterOfFiveHasFiveReplicas(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts five nodes")
	}
	c := nodetest.Start(t, nodetest.Config{Nodes: 5, Store: core.BackendKV, Replicas: 5})
	c.WaitServing(core.BackendKV, 0, 1, 2, 3, 4)
	cl := ready(t, c, 0)
	nodetest.Wait(t, 30*time.Second, func() error { return allHaveFive(t, cl) })
}

// TestScaleRaisesInternalBuckets: in a cluster of five the audit, the control record and
// the nonces get five replicas with the control plane, so that any two nodes may stop.
func TestScaleRaisesInternalBuckets(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts five nodes")
	}
	c := nodetest.Start(t, nodetest.Config{Nodes: 5, Store: core.BackendKV, Replicas: 3})
	c.WaitServing(core.BackendKV, 0, 1, 2, 3, 4)
	cl := ready(t, c, 0)
	if _, err := cl.BucketScale(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 30*time.Second, func() error { return allHaveFive(t, cl) })
	for _, i := range []int{3, 4} {
		if err := c.Nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	nodetest.Wait(t, 40*time.Second, func() error {
		_, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())})
		return err
	})
}
