package node_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestRollbackWithoutTheOldFile: a rollback works after the fenced file was moved away. From
// then on the file of the rollback is the control plane. While it is missing nothing is
// served, and no empty file is made in its place.
func TestRollbackWithoutTheOldFile(t *testing.T) {
	t.Parallel()
	c, _ := soaking(t)
	again := func(change func()) error {
		t.Helper()
		if err := c.Nodes[0].Close(); err != nil {
			t.Fatal(err)
		}
		change()
		return c.Open(0)
	}
	if err := again(func() { rename(t, c.Configs[0].DB, c.Configs[0].DB+".kept") }); err != nil {
		t.Fatal(err)
	}
	c.WaitServing(core.BackendKV, 0)
	cl := c.Client(0, c.Admin)
	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	file := waitForState(t, cl, migrate.StateRolledBack).Export.Path
	checkFile(t, file, 30, 2)
	c.WaitServing(core.BackendSQLite, 0)
	if _, err := cl.MigrateStart(t.Context(), "n1", migrate.Options{DB: file, DryRun: true}); err != nil {
		t.Error("what came back cannot be moved:", err)
	}

	away := file + ".away"
	if err := again(func() { rename(t, file, away) }); err != nil {
		t.Fatal(err)
	}
	cl = c.Client(0, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err == nil && (st.Serving.Backend != core.BackendNone || !strings.Contains(st.Serving.Reason, file)) {
			err = fmt.Errorf("serving %s: %s", st.Serving.Backend, st.Serving.Reason)
		}
		return err
	})
	alone := c.Configs[0]
	err := again(func() { c.Configs[0].ClusterName, c.Configs[0].ClusterListen, c.Configs[0].Routes = "", "", nil })
	if _, there := os.Stat(file); core.KindOf(err) != core.KindRefused || !errors.Is(there, os.ErrNotExist) {
		t.Errorf("alone, without its file: %v, %v", err, there)
	}
	c.Configs[0] = alone
	if err := again(func() { rename(t, away, file) }); err != nil {
		t.Fatal(err)
	}
	c.WaitServing(core.BackendSQLite, 0)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
