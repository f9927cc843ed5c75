package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestIdleNodeWritesNothing: without new connections a cluster writes nothing into the
// buckets of the control plane, even while operators watch it.
func TestIdleNodeWritesNothing(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(0, c.Admin)
	id := nodetest.Identity(t)
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(id.Public())}); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err == nil {
			err = nodetest.CheckReplicated(st, 3)
		}
		return err
	})
	nc, err := c.Connect(1, id)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	proven(t, cl, "n2", true)

	before, begun := calm(t, cl), time.Now()
	nodetest.Wait(t, 20*time.Second, func() error {
		if _, err := cl.Status(t.Context()); err != nil { // an operator looks all the while
			return err
		}
		if left := 6*time.Second - time.Since(begun); left > 0 {
			return fmt.Errorf("%s of idling are left", left)
		}
		return nil
	})
	if after := sequences(t, cl); after != before {
		t.Errorf("an idle cluster wrote:\n%s\n%s", before, after)
	}
	proven(t, cl, "n2", false)
}

// calm waits until two looks a second apart are equal. The writes of the preparation are over then.
func calm(t *testing.T, cl *admin.Client) (seen string) {
	t.Helper()
	since := time.Now()
	nodetest.Wait(t, 20*time.Second, func() error {
		if now := sequences(t, cl); now != seen {
			seen, since = now, time.Now()
		}
		if time.Since(since) < 1500*time.Millisecond {
			return fmt.Errorf("the buckets still change: %s", seen)
		}
		return nil
	})
	return seen
}

func sequences(t *testing.T, cl *admin.Client) string {
	t.Helper()
	st, err := cl.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, b := range st.Buckets {
		all = append(all, fmt.Sprint(b.Name, " ", b.LastSeq))
	}
	if len(all) != 5 {
		t.Fatalf("%d buckets", len(all))
	}
	return strings.Join(all, ", ")
}

// proven waits until a node says that admission relies on a proof of the last seconds, or on none.
func proven(t *testing.T, cl *admin.Client, name string, want bool) {
	t.Helper()
	nodetest.Wait(t, 10*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.Name == name && n.Info != nil && (n.Info.ProvenMS >= 0) == want {
				return nil
			}
		}
		return fmt.Errorf("%s: %v", name, provenOf(st.Nodes))
	})
}

func provenOf(nodes []cluster.Node) map[string]int64 {
	out := map[string]int64{}
	for _, n := range nodes {
		if n.Info != nil {
			out[n.Name] = n.Info.ProvenMS
		}
	}
	return out
}
