package node_test

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// rowsInMemory waits until every node, or none, has the buckets' rows in memory.
func rowsInMemory(t *testing.T, cl *admin.Client, want int) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		got := 0
		for _, n := range st.View.Nodes {
			if n.Info != nil && n.Info.Ready {
				got++
			}
		}
		if got != want {
			return fmt.Errorf("%d nodes have the rows in memory, want %d", got, want)
		}
		return nil
	})
}

func TestNodesReadTheRowsBeforeTheCutover(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Seed: sample(t)})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	rowsInMemory(t, cl, 0)
	st := move(t, c, cl, c.Configs[0].DB, false)
	if len(st.UnreadyNodes) > 0 {
		t.Errorf("verified, and not ready: %v", st.UnreadyNodes)
	}
	rowsInMemory(t, cl, 3)
	c.WaitServing(core.BackendSQLite, 0)
	c.WaitServing(core.BackendNone, 1, 2) // the rows in memory admit no user yet
	if _, err := cl.MigrateCutover(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	waitForState(t, cl, migrate.StateSoak)
	c.WaitServing(core.BackendKV, 0, 1, 2)
}

// TestNodesTakePartInAMoveAfterAnAbort: an abort empties the buckets while the stores that
// the nodes opened for the cutover follow them.
func TestNodesTakePartInAMoveAfterAnAbort(t *testing.T) {
	t.Parallel()
	seed := sample(t)
	c := nodetest.Start(t, nodetest.Config{Seed: seed})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	move(t, c, cl, c.Configs[0].DB, false)
	if _, err := cl.MigrateAbort(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	waitForState(t, cl, migrate.StateAborted)
	move(t, c, cl, c.Configs[0].DB, true)
	c.WaitServing(core.BackendKV, 0, 1, 2)
	for i, n := range c.Configs {
		st, err := nodetest.Status(t.Context(), c.Client(i, c.Admin))
		if err != nil || st.From != n.Name {
			t.Fatal(st.From, err)
		}
	}
	nodetest.Wait(t, 10*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		if st.Counts == nil || st.Counts.Users != len(seed.Users) {
			return fmt.Errorf("the counts are %+v, want %d users", st.Counts, len(seed.Users))
		}
		return nil
	})
}
