package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// fiveNodes starts a cluster of five nodes on KV.
func fiveNodes(t *testing.T, replicas int) (*nodetest.Cluster, *admin.Client) {
	t.Helper()
	c := nodetest.Start(t, nodetest.Config{Nodes: 5, Store: core.BackendKV, Replicas: replicas})
	c.WaitServing(core.BackendKV, 0, 1, 2, 3, 4)
	return c, ready(t, c, 0)
}

// TestNewClusterOfFiveHasFiveReplicas from its beginning, without a command.
func TestNewClusterOfFiveHasFiveReplicas(t *testing.T) {
	t.Parallel()
	_, cl := fiveNodes(t, 5)
	nodetest.Wait(t, 30*time.Second, func() error { return haveReplicas(t, cl, 5, 5) })
}

// TestScaleRaisesInternalBuckets: in a cluster of five the audit, the control record and
// the nonces get five replicas with the control plane, so that any two nodes may stop.
func TestScaleRaisesInternalBuckets(t *testing.T) {
	t.Parallel()
	c, cl := fiveNodes(t, 3)
	scaled(t, cl, 5, 5)
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

// TestReplicasAreLowered from five to three and to one and up again: no row is lost, and
// buckets that changes need keep three. It is refused while a node is down.
func TestReplicasAreLowered(t *testing.T) {
	t.Parallel()
	c, cl := fiveNodes(t, 1)
	users := 0
	for _, to := range []struct{ replicas, internal int }{{5, 5}, {3, 3}, {1, 3}, {5, 5}} {
		scaled(t, cl, to.replicas, to.internal)
		if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())}); err != nil {
			t.Fatalf("with %d replicas: %v", to.replicas, err)
		}
		users++
		all, err := admin.AllUsers(t.Context(), cl.UserPage)
		if err != nil || len(all) != users {
			t.Errorf("with %d replicas there are %d users, want %d (%v)", to.replicas, len(all), users, err)
		}
	}
	if err := c.Nodes[4].Close(); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 30*time.Second, func() error {
		_, err := cl.BucketScale(t.Context(), 3)
		if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "n5 does not answer") {
			return fmt.Errorf("it was not refused for n5: %w", err)
		}
		return nil
	})
}

// scaled asks for replicas, and waits until status shows them.
func scaled(t *testing.T, cl *admin.Client, replicas, internal int) {
	t.Helper()
	if _, err := cl.BucketScale(t.Context(), replicas); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 30*time.Second, func() error { return haveReplicas(t, cl, replicas, internal) })
}

func haveReplicas(t *testing.T, cl *admin.Client, replicas, internal int) error {
	t.Helper()
	st, err := cl.Status(t.Context())
	if err != nil {
		return err
	}
	if len(st.InternalBuckets) != 4 {
		return fmt.Errorf("the internal buckets are %+v", st.InternalBuckets)
	}
	for i, b := range st.AllBuckets() {
		want := replicas
		if i >= len(st.Buckets) {
			want = internal
		}
		if b.Wanted != want || len(b.Replicas) != want {
			return fmt.Errorf("%s has %d replicas, want %d", b.Name, b.Wanted, want)
		}
	}
	return nil
}
