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
					if !strings.HasPrefix(j.Sentence, "The cluster is being founded: n3 has never been up.") || !strings.Contains(j.Do, "start unibusd on n3") || !strings.Contains(j.Do, c.Configs[2].ClusterListen) {
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
