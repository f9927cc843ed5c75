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
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/storetest"
)

// TestVerifyFindsABitFlippedOnAFollower: while other tables are copied, one bit of a row
// flips on the disk of a node that does not lead its bucket. The verification names that
// node and that key, and a cutover is refused.
func TestVerifyFindsABitFlippedOnAFollower(t *testing.T) {
	t.Parallel()
	seed := sample(t)
	c := nodetest.Start(t, nodetest.Config{Seed: seed})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	rate := max(1, (len(seed.Members)*2+len(seed.Keys))/int(cacheOf.Seconds()+8)) // the rest of the copy outlasts the server's cache
	begin(t, cl, migrate.Options{DB: resolved(t, c.Configs[0].DB), Replicas: 3, Rate: rate})
	nodetest.Wait(t, 60*time.Second, func() error {
		st, err := cl.Migration(t.Context())
		if err == nil && (len(st.Progress) == 0 || st.Progress[0].Done < st.Progress[0].Total || st.Progress[0].Total == 0) {
			err = fmt.Errorf("the users are not copied yet: %v", st.Progress)
		}
		return err
	})
	flipped := string(seed.Users[len(seed.Users)/2].ID)
	follower := followerOf(t, c, cl, core.TableUsers.Bucket())
	nodetest.FlipBit(t, c.Configs[follower].Data, core.TableUsers, flipped)

	st, err := resting(t, cl)
	if err != nil {
		t.Fatal(err)
	}
	if st.Error == nil || st.Verified || st.State != migrate.StateVerify {
		t.Fatalf("%s, verified %v, with a bit flipped on %s: %v", st.State, st.Verified, c.Configs[follower].Name, st.Error)
	}
	found := st.Buckets[0]
	want := c.Configs[follower].Name + "/" + flipped
	if keys := append(found.Missing, found.Different...); len(keys) != 1 || keys[0] != want {
		t.Errorf("missing %v, different %v; want %s (%v)", found.Missing, found.Different, want, st.Error)
	}
	if _, err := cl.MigrateCutover(t.Context(), "n1"); core.KindOf(err) != core.KindRefused {
		t.Errorf("the cutover: %v", err)
	}
}

// TestRollbackFindsABitFlippedOnTheLeader: the rollback exports the leader's replica, which
// silently leaves out what it cannot read. The rollback is canceled and names the node with
// the damaged disk. KV keeps serving.
func TestRollbackFindsABitFlippedOnTheLeader(t *testing.T) {
	t.Parallel()
	seed := sample(t)
	c, cl := soakingOf(t, seed)
	leader := -1
	status, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range status.Buckets {
		if b.Name == core.TableMembers.Bucket() {
			leader = slices.IndexFunc(c.Configs, func(n config.Node) bool { return n.Name == b.Leader })
		}
	}
	written := time.Now()
	nodetest.Wait(t, 2*cacheOf, func() error {
		if left := cacheOf + 2*time.Second - time.Since(written); left > 0 {
			return fmt.Errorf("the server may have it in memory for another %s", left)
		}
		return nil
	})
	m := seed.Members[7] // nothing refers to it, so that nothing else finds it missing
	nodetest.FlipBit(t, c.Configs[leader].Data, core.TableMembers, core.MemberRow(m).Key)

	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	st := waitForState(t, cl, migrate.StateSoak)
	if want := c.Configs[leader].Name + ", which leads UNIBUS_members, cannot read 1 of "; st.Error == nil || !strings.Contains(st.Error.Text, want) {
		t.Errorf("a key that %s cannot read: %v", c.Configs[leader].Name, st.Error)
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
}

// TestDoctorFindsABitFlippedUnderAWarmCache: a bit flips on a follower's disk while its server has
// the block in memory and is asked for it all the time, so that every replica answers the same.
// The doctor names the node, the bucket and the key; the verdict names the disk, and what the
// doctor advises repairs it.
func TestDoctorFindsABitFlippedUnderAWarmCache(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: "kv"})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(0, c.Admin)
	var ids []core.UserID
	for range 20 {
		ids = append(ids, storetest.NewUserID(t))
		if _, err := cl.UserAdd(t.Context(), core.User{ID: ids[len(ids)-1], Role: core.RoleMember, Status: core.UserActive}); err != nil {
			t.Fatal(err)
		}
	}
	if k := checkOf(t, cl, "disk.UNIBUS_users"); k.State != doctor.OK {
		t.Fatalf("before: %+v", k)
	}
	follower := followerOf(t, c, cl, core.TableUsers.Bucket())
	node, key := c.Configs[follower].Name, string(ids[7])
	nodetest.FlipBit(t, c.Configs[follower].Data, core.TableUsers, key)
	if k := checkOf(t, cl, "replicas.UNIBUS_users"); k.State != doctor.OK {
		t.Errorf("the server reads its disk by itself now: %+v", k)
	}
	k := checkOf(t, cl, "disk.UNIBUS_users")
	if k.State != doctor.Wrong || len(k.Faults) != 1 || k.Faults[0].Node != node || k.Faults[0].Key != key || !strings.Contains(k.Next, "stop unibusd on "+node+", move its data directory away") {
		t.Errorf("with a bit of %s flipped on %s: %+v", key, node, k)
	}
	found := func(st admin.Status) bool {
		return slices.ContainsFunc(st.Judgment.Findings, func(f cluster.Finding) bool {
			return f.About == "node."+node && strings.Contains(f.Text, "The disk of "+node+" holds 1 record of users")
		})
	}
	nodetest.Wait(t, 30*time.Second, func() error {
		if st, err := cl.Status(t.Context()); err != nil || !found(st) {
			return fmt.Errorf("the verdict does not name the disk: %v", err)
		}
		return nil
	})
	if follower == 0 {
		cl = c.Client(1, c.Admin)
	}
	if err := errors.Join(c.Nodes[follower].Close(), os.Rename(c.Configs[follower].Data, filepath.Join(t.TempDir(), "away")), c.Open(follower)); err != nil {
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

// cacheOf is how long a server keeps a block in memory after a write. The block is intact there.
const cacheOf = 10 * time.Second

func followerOf(t *testing.T, c *nodetest.Cluster, cl *admin.Client, bucket string) int {
	t.Helper()
	status, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range status.Buckets {
		for i, n := range c.Configs {
			if b.Name == bucket && b.Leader != "" && n.Name != b.Leader {
				return i
			}
		}
	}
	t.Fatalf("no node follows %s", bucket)
	return 0
}

// resting waits until the migration no longer runs.
func resting(t *testing.T, cl *admin.Client) (st migrate.Status, err error) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() error {
		if st, err = cl.Migration(t.Context()); err == nil && st.Running {
			err = fmt.Errorf("%s", st.State)
		}
		return err
	})
	return st, err
}
