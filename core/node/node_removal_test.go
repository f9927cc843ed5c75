package node_test

import (
	"encoding/json"
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
	"unibus/core/node"
	"unibus/core/nodetest"
)

// TestDeadNodeIsReplaced: a node is lost for good, one of another name joins and gets its
// replicas, and the lost one no longer counts in any group. A user whom the cluster had
// before is there afterward, and the cluster bears the loss of any node again.
func TestDeadNodeIsReplaced(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Listed: true})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := ready(t, c, 0)
	user := core.UserID(nodetest.Identity(t).Public())
	if _, err := cl.UserAdd(t.Context(), core.User{ID: user}); err != nil {
		t.Fatal(err)
	}
	awaitVerdict(t, cl, cluster.Healthy)

	refused(t, cl, "n3", core.KindRefused, "n3 cannot be removed: it is running")
	refused(t, cl, "n9", core.KindNotFound, "no node is named n9")
	refused(t, cl, "no name", core.KindInvalid, "not a node's name")
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	awaitSilent(t, cl, "n3")

	for name, kind := range map[string]core.Kind{"n2": core.KindExists, "N2": core.KindRefused, "no name": core.KindInvalid} {
		if _, err := cl.NodeAdd(t.Context(), name); core.KindOf(err) != kind {
			t.Errorf("adding %s: %v", name, err)
		}
	}
	addNode(t, cl, "n4")
	newcomer(t, c, "n4")
	nodetest.Wait(t, 40*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err == nil && st.Meta.Size != 4 {
			err = fmt.Errorf("the meta group has %d members: %v", st.Meta.Size, st.Findings)
		}
		return err
	})
	out, err := cl.NodeRemove(t.Context(), "n3")
	if err != nil {
		t.Fatal(err)
	}
	if out.Meta.Size != 3 || out.Meta.Needed != 2 || !slices.Equal(out.Told, []string{"n1", "n2", "n4"}) || len(out.NotTold) > 0 {
		t.Errorf("after the removal: %+v", out)
	}
	st := awaitVerdict(t, cl, cluster.Healthy)
	for _, b := range st.AllBuckets() {
		var on []string
		for _, r := range b.Replicas {
			on = append(on, r.Node)
		}
		if !slices.Equal(on, []string{"n1", "n2", "n4"}) {
			t.Errorf("%s has replicas on %v", b.Name, on)
		}
	}
	refused(t, cl, "n4", core.KindRefused, "n4 cannot be removed: it is running")
	if _, err := cl.NodeAdd(t.Context(), "n3"); core.KindOf(err) != core.KindRefused {
		t.Errorf("adding the removed name again: %v", err)
	}
	if again, err := cl.NodeRemove(t.Context(), "n3"); err != nil || again.At != out.At {
		t.Errorf("removing it again: %+v, %v", again, err)
	}
	returned(t, c, 2)
	survives(t, c, cl, user)
}

// survives stops the first node: the newcomer and the other old one are a majority.
func survives(t *testing.T, c *nodetest.Cluster, before *admin.Client, user core.UserID) {
	t.Helper()
	before.Close()
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	cl := c.Client(3, c.Admin)
	nodetest.Wait(t, 40*time.Second, func() error {
		u, err := cl.UserGet(t.Context(), string(user))
		if err == nil && u.Status != core.UserActive {
			err = fmt.Errorf("the user is %s", u.Status)
		}
		return err
	})
	nodetest.Wait(t, 40*time.Second, func() error {
		_, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())})
		return err
	})
}

// returned starts the removed node again: it learns of its removal and ends.
func returned(t *testing.T, c *nodetest.Cluster, i int) {
	t.Helper()
	n := node.New(node.Config{Node: c.Configs[i], Version: "test"})
	ended := make(chan error, 1)
	go func() { ended <- n.Run(t.Context()) }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "n3 was removed from the cluster by ana") {
			t.Errorf("the removed node ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the removed node runs again")
	}
}

// newcomer starts a node of a new name. Its routes name the old nodes; theirs do not name it.
func newcomer(t *testing.T, c *nodetest.Cluster, name string) {
	t.Helper()
	cfg := c.Configs[0]
	cfg.Name, cfg.Data = name, filepath.Join(t.TempDir(), name)
	cfg.DB = filepath.Join(cfg.Data, "unibus.db")
	ports := nodetest.Ports(t, 2)
	cfg.Listen, cfg.ClusterListen = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	cfg.Nodes = append(slices.Clone(cfg.Nodes), name)
	cfg.Routes = []string{c.Configs[0].ClusterListen, c.Configs[1].ClusterListen, cfg.ClusterListen}
	c.Configs, c.Nodes = append(c.Configs, cfg), append(c.Nodes, nil)
	if err := c.Open(len(c.Configs) - 1); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, cl *admin.Client, name string, kind core.Kind, text string) {
	t.Helper()
	if _, err := cl.NodeRemove(t.Context(), name); core.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("removing %s: %v", name, err)
	}
}

func awaitSilent(t *testing.T, cl *admin.Client, name string) {
	t.Helper()
	nodetest.Wait(t, nodetest.Convergence, func() error {
		st, err := cl.Status(t.Context())
		if err == nil && !st.IsSilent(name) {
			err = fmt.Errorf("%s answers", name)
		}
		return err
	})
}

func awaitVerdict(t *testing.T, cl *admin.Client, want cluster.Level) admin.Status {
	t.Helper()
	var st admin.Status
	nodetest.Wait(t, 60*time.Second, func() (err error) {
		if st, err = cl.Status(t.Context()); err == nil && st.Verdict != want {
			err = fmt.Errorf("%s: %s", st.Verdict, st.Sentence)
		}
		return err
	})
	return st
}

// TestListedNodeIsRemoved: where the configuration lists the nodes, a removed one does
// not count, a node that was down meanwhile learns it, and an added one is accepted
// without another configuration. The buckets get their third replica once it joins.
func TestListedNodeIsRemoved(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Listed: true})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := ready(t, c, 0)
	awaitVerdict(t, cl, cluster.Healthy)
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	awaitSilent(t, cl, "n3")
	out, err := cl.NodeRemove(t.Context(), "n3")
	if err != nil {
		t.Fatal(err)
	}
	if out.Meta.Size != 2 || out.Meta.Needed != 2 {
		t.Errorf("after the removal: %+v", out.Meta)
	}
	nodetest.Wait(t, nodetest.Convergence, func() error {
		st, err := cl.Status(t.Context())
		if err == nil && (st.Expected != 2 || len(st.Nodes) != 2 || len(st.Removed) != 1) {
			err = fmt.Errorf("%d nodes expected, %d there, removed: %v", st.Expected, len(st.Nodes), st.Removed)
		}
		return err
	})
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(1); err != nil {
		t.Fatal(err)
	}
	takesRequests(t, cl)
	addNode(t, cl, "n4")
	newcomer(t, c, "n4")
	awaitVerdict(t, cl, cluster.Healthy)
	nodetest.Wait(t, 30*time.Second, func() error { // a server lists a new replica a moment after it is wanted
		st, err := cl.Status(t.Context())
		if err == nil {
			err = nodetest.CheckReplicated(st, 3)
		}
		for _, b := range st.AllBuckets() {
			if err == nil && len(b.Replicas) != 3 {
				err = fmt.Errorf("%s has the replicas %v", b.Name, b.Replicas)
			}
		}
		return err
	})
}

// TestRemovalForWhichThereIsNoSpace: a list of removed names that is full is found before the
// node loses its vote, and before other changes of nodes are excluded.
func TestRemovalForWhichThereIsNoSpace(t *testing.T) {
	t.Parallel()
	var full []core.NodeChange
	for i := range 200 {
		full = append(full, core.NodeChange{Name: fmt.Sprint("x", i), State: core.NodeRemoved, By: "ana", At: 1})
	}
	data, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Listed: true, Before: func(c *nodetest.Cluster) {
		for _, n := range c.Configs {
			nodetest.MkdirAll(t, n.Data)
			if err := os.WriteFile(filepath.Join(n.Data, "nodes.json"), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := ready(t, c, 0)
	awaitVerdict(t, cl, cluster.Healthy)
	if _, err := cl.NodeAdd(t.Context(), "n4"); core.KindOf(err) != core.KindRefused {
		t.Errorf("adding a node: %v", err)
	}
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	awaitSilent(t, cl, "n3")
	for range 2 { // a second time: the first one excluded nothing
		refused(t, cl, "n3", core.KindRefused, "a cluster remembers 200 nodes")
	}
	st, err := cl.Status(t.Context())
	if err != nil || st.Meta.Size != 3 || len(st.Meta.OrphanPeers) > 0 {
		t.Errorf("after the refusal: %+v, %v", st.Meta, err)
	}
}

// addNode repeats a change that another one excludes for the moment.
func addNode(t *testing.T, cl *admin.Client, name string) {
	t.Helper()
	if _, err := cl.NodeAdd(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyCopyIsNotRemoved: where the control plane is a SQLite file, or no record says
// where it is, no node is removed, whichever node is asked.
func TestOnlyCopyIsNotRemoved(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Seed: nodetest.SampleRows(t, 5), Listed: true})
	c.WaitServing(core.BackendSQLite, 0)
	cl := ready(t, c, 1)
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	awaitSilent(t, cl, "n1")
	nodetest.Wait(t, 30*time.Second, func() error {
		_, err := cl.NodeRemove(t.Context(), "n1")
		if core.KindOf(err) != core.KindRefused {
			return fmt.Errorf("removing the node with the only file: %w", err)
		}
		return nil
	})
}

// TestUnlistedNodesAreNotChanged: without the list of names a node does not know how many are left.
func TestUnlistedNodesAreNotChanged(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := ready(t, c, 0)
	if _, err := cl.NodeAdd(t.Context(), "n4"); core.KindOf(err) != core.KindRefused || !strings.Contains(core.AsError(err).Next, "nodes =") {
		t.Errorf("adding a node: %v", err)
	}
	refused(t, cl, "n3", core.KindRefused, "does not list the nodes")
}
