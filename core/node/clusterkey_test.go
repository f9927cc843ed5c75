package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// keyEverywhere waits until every node has the same key on disk and proves it.
func keyEverywhere(t *testing.T, c *nodetest.Cluster) string {
	t.Helper()
	var key string
	nodetest.Wait(t, 30*time.Second, func() error {
		for i := range c.Configs {
			onDisk, err := keys.ClusterKeyOf(c.Configs[i].Data)
			if err != nil {
				return err
			}
			proven := c.Client(i, c.Admin).ClusterKey()
			if i == 0 {
				key = proven
			}
			if proven == "" || proven != key || onDisk != key {
				return fmt.Errorf("%s proves %q and keeps %q, n1 proves %q", c.Configs[i].Name, proven, onDisk, key)
			}
		}
		return nil
	})
	return key
}

// TestClusterKeyIsFoundedOnce, outlives a restart of all nodes, comes back to a
// node that lost its disk, and is in no bucket, where auditors could read it.
func TestClusterKeyIsFoundedOnce(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	key := keyEverywhere(t, w.Cluster)
	for stream, rows := range w.state(t) {
		for _, secret := range []string{"SC", "seed"} {
			if stream == "KV_UNIBUS_control" && strings.Contains(rows, secret) {
				t.Errorf("%s holds %s", stream, secret)
			}
		}
	}
	w.restart(t)
	if again := keyEverywhere(t, w.Cluster); again != key {
		t.Errorf("after a restart it is %s, was %s", again, key)
	}
	if err := w.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(w.Configs[2].Data); err != nil {
		t.Fatal(err)
	}
	if err := w.Open(2); err != nil {
		t.Fatal(err)
	}
	if again := keyEverywhere(t, w.Cluster); again != key {
		t.Errorf("after a disk was lost it is %s, was %s", again, key)
	}
}

// TestNodeThatIsKnownFoundsTheKey: operators know n2 already, so the cluster that
// it founds with two fresh nodes has its key. A node that comes later with a key
// of its own keeps that on disk, serves with the cluster's, and it is said.
func TestNodeThatIsKnownFoundsTheKey(t *testing.T) {
	t.Parallel()
	for name, at := range map[string][]int{"one node has a key": {1}, "two nodes have keys": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := map[string]bool{}
			c := nodetest.Start(t, nodetest.Config{Before: func(c *nodetest.Cluster) {
				for _, i := range at {
					seed, id, err := keys.GenerateCluster()
					if err != nil {
						t.Fatal(err)
					}
					nodetest.MkdirAll(t, c.Configs[i].Data)
					if err := keys.WriteSeed(filepath.Join(c.Configs[i].Data, keys.ClusterKeyFile), seed); err != nil {
						t.Fatal(err)
					}
					made[id.Public()] = true
				}
			}})
			if len(at) == 1 {
				if key := keyEverywhere(t, c); !made[key] {
					t.Errorf("the cluster has the key %s, and n2 was known by another", key)
				}
				return
			}
			nodetest.Wait(t, 30*time.Second, func() error {
				st, err := c.Client(2, c.Admin).Status(t.Context())
				if err != nil {
					return err
				}
				for _, f := range st.Judgment.Findings {
					if f.Level == cluster.Critical && strings.Contains(f.Text, "in its data directory, and the cluster has") {
						return nil
					}
				}
				return core.Errorf(core.KindFailed, "%+v", st.Judgment.Findings)
			})
			nodetest.Wait(t, 30*time.Second, func() error {
				key := c.Client(2, c.Admin).ClusterKey()
				for i := range c.Configs {
					if got := c.Client(i, c.Admin).ClusterKey(); got != key || !made[key] {
						return fmt.Errorf("n%d proves %q, n3 %q", i+1, got, key)
					}
				}
				return nil
			})
		})
	}
}
