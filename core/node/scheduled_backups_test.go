package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/backup"
	"unibus/core/config"
	"unibus/core/nodetest"
)

// TestScheduledBackupOfACluster: three nodes have the same schedule, and one of them makes
// the backup. Every node's status knows of it, and so does a node that restarts.
func TestScheduledBackupOfACluster(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]nodetest.Config{
		"sqlite": {Seed: nodetest.SampleRows(t, 200)},
		"kv":     {Store: core.BackendKV},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cfg.Before = func(c *nodetest.Cluster) {
				for i := range c.Configs {
					c.Configs[i].BackupDir, c.Configs[i].BackupEvery = dir, "1h"
				}
			}
			c := nodetest.Start(t, cfg)
			var last core.ScheduledBackup
			for i := range c.Nodes {
				cl := c.Client(i, c.Viewer)
				nodetest.Wait(t, 40*time.Second, func() error {
					st, err := cl.Status(t.Context())
					if err != nil || st.Backups == nil || len(st.Backups.Kept) != 1 {
						return fmt.Errorf("%+v, %v", st.Backups, err)
					}
					if got := st.Backups.Kept[0]; last.Name != "" && got != last {
						t.Errorf("%s knows of %+v, another node of %+v", c.Configs[i].Name, got, last)
					} else {
						last = got
					}
					return nil
				})
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 || entries[0].Name() != last.Name {
				t.Fatalf("%v, %v; the record has %s", entries, err, last.Name)
			}
			r, err := backup.Restore(t.Context(), filepath.Join(dir, last.Name), filepath.Join(t.TempDir(), "new.db"), backup.Expect{SHA256: last.SHA256})
			if err != nil || r.Signed == nil || r.Signed.Node != last.Node || r.Tables[0].Count != len(cfg.Seed.Users) {
				t.Errorf("%+v, %v", r, err)
			}
			if name == "kv" {
				anotherNodeMakesIt(t, c, last.Node)
			}
		})
	}
}

// anotherNodeMakesIt stops the node that made the last backup, and asks for one.
func anotherNodeMakesIt(t *testing.T, c *nodetest.Cluster, stopped string) {
	t.Helper()
	at := slices.IndexFunc(c.Configs, func(n config.Node) bool { return n.Name == stopped })
	if err := c.Nodes[at].Close(); err != nil {
		t.Fatal(err)
	}
	cl := c.Client((at+1)%len(c.Nodes), c.Admin)
	var asked admin.BackupRequested
	nodetest.Wait(t, 40*time.Second, func() (err error) { // an election may be under way
		asked, err = cl.BackupNow(t.Context())
		return err
	})
	nodetest.Wait(t, 40*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		made, ok, err := admin.RequestedBackup(st.View, asked)
		if err != nil || !ok {
			return fmt.Errorf("%+v, %w", st.Backups, err)
		}
		if made.Node == stopped || len(st.Backups.Kept) != 2 {
			t.Errorf("%+v", st.Backups.Kept)
		}
		return nil
	})
}
