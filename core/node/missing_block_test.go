package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/doctor"
	"unibus/core/nodetest"
	"unibus/core/store/storetest"
)

// TestDoctorFindsARemovedBlock: a file of blocks is removed from a follower, and later another one
// from the leader. The doctor names the disk and the file, and so does the verdict. The doctor's
// advice takes everything from the others. A restart alone does not: later blocks are there, so that the
// server believes to have everything.
func TestDoctorFindsARemovedBlock(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: "kv"})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(0, c.Admin)
	users := core.TableUsers.Bucket()
	for round := range 4 {
		if _, err := cl.UserAdd(t.Context(), core.User{ID: storetest.NewUserID(t), Role: core.RoleMember, Status: core.UserActive}); err != nil {
			t.Fatal(err)
		}
		for i := range 4 { // a block has 4 MB at most
			if _, err := c.Nodes[0].StoreConn().Request(fmt.Sprintf("$KV.%s._filler.%d.%d", users, round, i), make([]byte, 1_000_000), 10*time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("of a follower", func(t *testing.T) { losesABlock(t, c, followerOf(t, c, cl, users), 0) })
	t.Run("of the leader", func(t *testing.T) { losesABlock(t, c, leaderOf(t, c, c.Client(0, c.Admin), users), 1) })
}

// losesABlock removes a block of a node, has it found, and follows the advice. A server that finds
// its first block missing takes the next one for the beginning.
func losesABlock(t *testing.T, c *nodetest.Cluster, node, which int) {
	users, name := core.TableUsers.Bucket(), c.Configs[node].Name
	blocks, err := filepath.Glob(filepath.Join(c.Configs[node].Data, "jetstream", "CONTROL", "streams", "KV_"+users, "msgs", "*.blk"))
	if err != nil || len(blocks) < 4 {
		t.Fatalf("%v, %v", blocks, err)
	}
	if err := os.Remove(blocks[which]); err != nil {
		t.Fatal(err)
	}
	cl := c.Client((node+1)%len(c.Nodes), c.Admin)
	for range 2 { // a leader forgets what it could not read
		k := checkOf(t, cl, "disk."+users)
		if k.State != doctor.Wrong || len(k.Faults) != 1 || k.Faults[0].Node != name || !strings.Contains(k.Faults[0].Text, filepath.Base(blocks[which])+" is missing") {
			t.Fatalf("without %s on %s: %+v", filepath.Base(blocks[which]), name, k)
		}
	}
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err == nil && !slices.ContainsFunc(st.Judgment.Findings, func(f cluster.Finding) bool {
			return f.About == "node."+name && strings.Contains(f.Text, "lacks a block of users") && strings.Contains(f.Next, "stop unibusd on "+name+", move its data directory away")
		}) {
			err = fmt.Errorf("the verdict does not name the disk of %s: %+v", name, st.Judgment.Findings)
		}
		return err
	})
	if err := errors.Join(c.Nodes[node].Close(), os.Rename(c.Configs[node].Data, filepath.Join(t.TempDir(), "away")), c.Open(node)); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 60*time.Second, func() error {
		r, err := cl.Doctor(t.Context(), admin.DoctorRequest{ReplicasOnly: true})
		if err == nil && r.Worst() != doctor.OK {
			err = fmt.Errorf("%+v", r.Checks)
		}
		return err
	})
}

// checkOf has the doctor check the replicas and the disks, and returns one check.
func checkOf(t *testing.T, cl *admin.Client, name string) doctor.Check {
	t.Helper()
	r, err := cl.Doctor(t.Context(), admin.DoctorRequest{ReplicasOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return r.Checks[slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.Name == name })]
}

func leaderOf(t *testing.T, c *nodetest.Cluster, cl *admin.Client, bucket string) int {
	t.Helper()
	status, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range status.Buckets {
		if i := slices.IndexFunc(c.Configs, func(n config.Node) bool { return b.Name == bucket && n.Name == b.Leader }); i >= 0 {
			return i
		}
	}
	t.Fatalf("no node leads %s", bucket)
	return 0
}
