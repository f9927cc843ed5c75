package node_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestAnotherNodesFileAfterARollback: the authority stays with n1, and n2's own file cannot be
// migrated. The advice of the refusal brings its rows to n1.
func TestAnotherNodesFileAfterARollback(t *testing.T) {
	t.Parallel()
	first, second := sample(t), sample(t)
	second.Users = append(second.Users, core.User{ID: core.UserID(nodetest.Identity(t).Public()), Role: core.RoleMember, Status: core.UserActive})
	c := startTwoFiles(t, first, second)
	cl := c.Client(0, c.Admin)
	begin(t, cl, migrate.Options{DB: resolved(t, c.Configs[0].DB), Replicas: 3, Cutover: true, IgnoredNodes: []string{"n2"}})
	waitForState(t, cl, migrate.StateSoak)
	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	file := waitForState(t, cl, migrate.StateRolledBack).Export.Path
	if _, err := c.Client(1, c.Admin).MigrateStart(t.Context(), "n2", migrate.Options{DB: resolved(t, c.Configs[1].DB)}); err != nil {
		t.Fatal(err)
	}
	st := waitForState(t, c.Client(1, c.Admin), migrate.StatePreflight)
	if core.KindOf(st.Error) != core.KindRefused || len(st.Problems) == 0 {
		t.Errorf("n2's file: %v, %v", st.Error, st.Problems)
	}
	if _, err := c.Client(1, c.Admin).MigrateAbort(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}

	for _, i := range []int{0, 1} {
		if err := c.Nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	rename(t, file, file+".away")
	theirs := filepath.Join(t.TempDir(), "copy.db")
	for _, way := range [][2]string{{c.Configs[1].DB, theirs}, {theirs, file}} {
		if _, err := backup.Restore(t.Context(), way[0], way[1], backup.Expect{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{0, 1} {
		if err := c.Open(i); err != nil {
			t.Fatal(err)
		}
	}
	c.WaitServing(core.BackendSQLite, 0)
	if _, err := c.Client(0, c.Admin).UserGet(t.Context(), string(second.Users[len(second.Users)-1].ID)); err != nil {
		t.Errorf("what only n2's file held: %v", err)
	}
	allAnswer(t, c) // the preflight stops where a node that has just started is not heard yet
	if st := move(t, c, c.Client(0, c.Admin), file, true); st.Error != nil {
		t.Error(st.Error)
	}
}

// allAnswer waits until n1 hears every node.
func allAnswer(t *testing.T, c *nodetest.Cluster) {
	t.Helper()
	cl := c.Client(0, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.Info == nil || !n.Online {
				return fmt.Errorf("%s does not answer", n.Name)
			}
		}
		if len(st.Nodes) != len(c.Configs) {
			return fmt.Errorf("%d nodes are seen", len(st.Nodes))
		}
		return nil
	})
}
