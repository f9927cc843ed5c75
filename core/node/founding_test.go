package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestNewClusterSaysWhomItWaitsFor: two of three nodes of a new cluster elect no leader. Both say so,
// with the third one's address, and give no other advice. The third one ends that. Later, two of
// three suffice, and a restart of two is no founding.
func TestNewClusterSaysWhomItWaitsFor(t *testing.T) {
	t.Parallel()
	for _, store := range []core.Backend{core.BackendKV, core.BackendSQLite} {
		t.Run(string(store), func(t *testing.T) {
			t.Parallel()
			c := nodetest.Start(t, nodetest.Config{Nodes: 3, Store: store, Before: func(c *nodetest.Cluster) {
				for i := range c.Configs {
					c.Configs[i].Nodes = []string{"n1", "n2", "n3"}
				}
				c.Later(2)
			}})
			for _, i := range []int{0, 1} {
				cl := c.Client(i, c.Admin)
				nodetest.Wait(t, 30*time.Second, func() error {
					st, err := cl.Status(t.Context())
					if err != nil {
						return err
					}
					j := st.Judgment
					if !strings.HasPrefix(j.Sentence, fmt.Sprintf("The cluster is being founded: n%d has not heard n3 yet.", i+1)) || !strings.Contains(j.Do, "start unibusd on n3") || !strings.Contains(j.Do, c.Configs[2].ClusterListen) {
						return fmt.Errorf("n%d: %s Do: %s", i+1, j.Sentence, j.Do)
					}
					return onlyFounding(j)
				})
			}
			if err := c.Open(2); err != nil {
				t.Fatal(err)
			}
			for i := range c.Configs {
				nodetest.Wait(t, 30*time.Second, func() error { return hasMetaLeader(t, c, i) })
			}
			for _, i := range []int{2, 1} {
				if err := c.Nodes[i].Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Open(1); err != nil {
				t.Fatal(err)
			}
			nodetest.Wait(t, 60*time.Second, func() error { return hasMetaLeader(t, c, 1) })
		})
	}
}

// onlyFounding is nil without advice about what follows from the founding.
func onlyFounding(j cluster.Judgment) error {
	for _, f := range j.Findings {
		for _, wrong := range []string{"has the database", "move to KV", "each other", "read the log"} {
			if strings.Contains(f.Text+f.Next, wrong) {
				return fmt.Errorf("advice beside it: %+v", f)
			}
		}
	}
	return nil
}

func hasMetaLeader(t *testing.T, c *nodetest.Cluster, i int) error {
	t.Helper()
	st, err := c.Client(i, c.Admin).Status(t.Context())
	if err != nil {
		return err
	}
	if st.View.Meta.Leader == "" || strings.Contains(st.Judgment.Sentence, "founded") {
		return fmt.Errorf("n%d: %s", i+1, st.Judgment.Sentence)
	}
	return nil
}

// TestJoiningOfASQLiteNode plays the order of docs/operations/three-hosts.md: the two new nodes
// start first and wait, then the node with the file restarts with the cluster's settings. Users are
// locked out while it restarts and the first leader is elected, and no longer.
func TestJoiningOfASQLiteNode(t *testing.T) {
	t.Parallel()
	user := nodetest.Identity(t)
	seed := core.Snapshot{Users: []core.User{{ID: core.UserID(user.Public()), Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1}}}
	c := nodetest.Start(t, nodetest.Config{Nodes: 3, Store: core.BackendSQLite, Seed: seed, Before: func(c *nodetest.Cluster) {
		for i := range c.Configs {
			c.Configs[i].Nodes = []string{"n1", "n2", "n3"}
		}
		c.Later(0)
	}})
	clustered := c.Configs[0]
	alone := &c.Configs[0]
	alone.ClusterName, alone.ClusterListen, alone.Routes, alone.Nodes = "", "", nil, nil
	connect := func() error {
		nc, err := c.Connect(0, user)
		if err == nil {
			nc.Close()
		}
		return err
	}
	if err := c.Open(0); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, nodetest.Convergence, connect)
	cl := c.Client(1, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err == nil && !strings.Contains(st.Judgment.Sentence, "n2 has not heard n1 yet") {
			err = fmt.Errorf("n2: %s", st.Judgment.Sentence)
		}
		return err
	})
	began := time.Now()
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	*alone = clustered
	if err := c.Open(0); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 30*time.Second, connect)
	t.Logf("users were locked out for %s", time.Since(began).Round(10*time.Millisecond))
}
