package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/keys"
	"unibus/core/logtest"
	"unibus/core/node"
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

// TestClusterKeyIsFoundedOnce: the key outlives a restart of all nodes and returns to a
// node that lost its disk. It is in no bucket, where auditors could read it.
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

// TestClusterKeyOutlivesItsFounder: once the key is recorded, a majority has the private
// half on disk. Else the loss of the node that made it would leave a cluster whose key no
// node can ever prove.
func TestClusterKeyOutlivesItsFounder(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	var public string
	nodetest.Wait(t, 30*time.Second, func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		public, err = controlEntry(ctx, c.Nodes[0].StoreConn(), "cluster_key")
		return err
	})
	var on []string
	for _, cfg := range c.Configs {
		files, err := filepath.Glob(filepath.Join(cfg.Data, keys.ClusterKeyFile) + "*")
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(files, func(file string) bool {
			id, err := keys.ReadClusterKey(file)
			return err == nil && id.Public() == public
		}) {
			on = append(on, cfg.Name)
		}
	}
	if len(on) < 2 {
		t.Errorf("the key %s is recorded, and only %q have its private half", public, on)
	}
	keyEverywhere(t, c)
	nodetest.Wait(t, nodetest.Convergence, func() error {
		for _, cfg := range c.Configs {
			if files, err := filepath.Glob(filepath.Join(cfg.Data, keys.ClusterKeyFile) + ".*"); err != nil || len(files) > 0 {
				return fmt.Errorf("drafts were left: %q (%w)", files, err)
			}
		}
		return nil
	})
}

func controlEntry(ctx context.Context, nc *nats.Conn, key string) (string, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return "", err
	}
	bucket, err := js.KeyValue(ctx, "UNIBUS_control")
	if err != nil {
		return "", err
	}
	e, err := bucket.Get(ctx, key)
	if err != nil {
		return "", err
	}
	return string(e.Value()), nil
}

// TestNodeThatIsKnownFoundsTheKey: operators know n2 already, so the cluster of n2 and two
// new nodes takes its key. A node that joins later with its own key keeps that on disk,
// serves with the cluster's, and reports the conflict.
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

// TestNodeThatJoinsLateFoundsTheKey: n2 and n3 wait for n1, which clients know, for longer
// than a new node lets others record a key. The cluster takes the key of n1 all the same.
func TestNodeThatJoinsLateFoundsTheKey(t *testing.T) {
	t.Parallel()
	seed, known, err := keys.GenerateCluster()
	if err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, nodetest.Config{Before: func(c *nodetest.Cluster) {
		nodetest.MkdirAll(t, c.Configs[0].Data)
		if err := keys.WriteSeed(filepath.Join(c.Configs[0].Data, keys.ClusterKeyFile), seed); err != nil {
			t.Fatal(err)
		}
		c.Later(0)
	}})
	begun := time.Now()
	nodetest.Wait(t, 30*time.Second, func() error {
		if waited := time.Since(begun); waited < node.RecordTimeout {
			return fmt.Errorf("n2 and n3 have waited for %s", waited)
		}
		return nil
	})
	if err := c.Open(0); err != nil {
		t.Fatal(err)
	}
	if key := keyEverywhere(t, c); key != known.Public() {
		t.Errorf("the cluster has the key %s, and clients know n1 by %s", key, known.Public())
	}
}

// TestDraftOfTheKeyIsRemovedLater: a draft that cannot be removed stays with a warning, and
// goes once it can be. It is a private key.
func TestDraftOfTheKeyIsRemovedLater(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	var draft string
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Before: func(c *nodetest.Cluster) {
		for i := range c.Configs {
			c.Configs[i].Data += "[1]" // it is no pattern
			c.Configs[i].DB = filepath.Join(c.Configs[i].Data, "unibus.db")
		}
		draft = filepath.Join(c.Configs[2].Data, keys.ClusterKeyFile+".draft.held")
		nodetest.MkdirAll(t, filepath.Join(draft, "full")) // a directory that is not empty cannot be removed
		c.Later(2)
	}})
	n3 := node.New(node.Config{Node: c.Configs[2], Version: "test", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := n3.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n3.Close() })
	key := keyEverywhere(t, c)
	nodetest.Wait(t, nodetest.Convergence, func() error {
		if !strings.Contains(log.String(), "the drafts of the cluster's key") {
			return errors.New("n3 does not say that a draft stays")
		}
		return nil
	})
	if err := os.Remove(filepath.Join(draft, "full")); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, nodetest.Convergence, func() error {
		files, err := os.ReadDir(c.Configs[2].Data)
		for _, file := range files {
			if strings.HasPrefix(file.Name(), keys.ClusterKeyFile+".") {
				err = errors.Join(err, fmt.Errorf("%s was left", file.Name()))
			}
		}
		return err
	})
	if again := keyEverywhere(t, c); again != key {
		t.Errorf("the key is %s, was %s", again, key)
	}
}
