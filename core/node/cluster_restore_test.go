package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/backup"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestRestoreIntoClusterRefuses: a cluster that has a user, one that serves a SQLite file, and a
// node alone take no backup, and nothing changes there.
func TestRestoreIntoClusterRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.db")
	nodetest.Seed(t, file, nodetest.SampleRows(t, 200))
	for name, c := range map[string]struct {
		cfg  nodetest.Config
		says string
	}{
		"a user is there":  {nodetest.Config{Store: core.BackendKV}, "not empty"},
		"SQLite is served": {nodetest.Config{Seed: nodetest.SampleRows(t, 200)}, "--store sqlite"},
		"a node alone":     {nodetest.Config{Nodes: 1}, "node alone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := nodetest.Start(t, c.cfg)
			if c.cfg.Nodes != 1 {
				backend := core.BackendSQLite
				if c.cfg.Store != "" {
					backend = c.cfg.Store
				}
				cl.WaitServing(backend, 0)
			}
			op := cl.Client(0, cl.Admin)
			there := core.UserID(nodetest.Identity(t).Public())
			if _, err := op.UserAdd(t.Context(), core.User{ID: there}); err != nil {
				t.Fatal(err)
			}
			_, _, err := backup.RestoreIntoCluster(t.Context(), op, file, "", backup.Expect{}, nil)
			if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			if _, err := op.UserGet(t.Context(), string(there)); err != nil {
				t.Errorf("the user who was there: %v", err)
			}
			if _, _, err := backup.RestoreIntoCluster(t.Context(), cl.Client(0, cl.Viewer), file, "", backup.Expect{}, nil); core.KindOf(err) != core.KindRefused {
				t.Errorf("a viewer restores: %v", err)
			}
		})
	}
}

// TestRestoreKeepsTheClustersKey: a new cluster whose node has the key file of the old one has
// that key, takes a backup that the key signed, and proves the key to those who know it. One with
// a key of its own takes the same backup, and keeps its own.
func TestRestoreKeepsTheClustersKey(t *testing.T) {
	t.Parallel()
	old := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: nodetest.SampleRows(t, 200)})
	old.WaitServing(core.BackendSQLite, 0)
	file := filepath.Join(t.TempDir(), "backup.db")
	taken, err := backup.Fetch(t.Context(), old.Client(0, old.Admin), file, nil)
	if err != nil || taken.Signed == nil {
		t.Fatalf("%+v, %v", taken, err)
	}
	key := taken.Signed.Key
	for name, brought := range map[string]bool{"the key was brought along": true, "it has a key of its own": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Before: func(c *nodetest.Cluster) {
				if !brought {
					return
				}
				seed, err := os.ReadFile(filepath.Join(old.Configs[0].Data, keys.ClusterKeyFile))
				if err != nil {
					t.Fatal(err)
				}
				nodetest.MkdirAll(t, c.Configs[1].Data)
				if err := os.WriteFile(filepath.Join(c.Configs[1].Data, keys.ClusterKeyFile), seed, 0o600); err != nil {
					t.Fatal(err)
				}
			}})
			c.WaitServing(core.BackendKV, 0, 1, 2)
			cl := c.Client(0, c.Admin)
			if _, _, err := backup.RestoreIntoCluster(t.Context(), cl, file, "", backup.Expect{Signer: key}, nil); err != nil {
				t.Fatal(err)
			}
			if after := keyEverywhere(t, c); (after == key) != brought || cl.ClusterKey() != after {
				t.Errorf("the cluster has the key %s, the client saw %s, the backup was signed by %s", after, cl.ClusterKey(), key)
			}
			known := admin.NewClient(admin.ClientConfig{Servers: []string{c.URL(2)}, Identity: c.Admin, ClusterKey: key})
			defer known.Close()
			if err := known.Open(t.Context()); (err == nil) != brought {
				t.Errorf("an operator who knows the old key: %v", err)
			}
		})
	}
}
