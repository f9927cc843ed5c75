package node_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestLostFileOfARollback: the new file is damaged before it was served, when it is the
// authority already. The node says what to do, and starts again without it. It returns to
// KV on request, and otherwise continues once the file is intact.
func TestLostFileOfARollback(t *testing.T) {
	t.Parallel()
	c, cl := soaking(t)
	file, _ := rollBackDamaged(t, cl)
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(0); err != nil {
		t.Fatalf("it does not start without the file: %v", err)
	}
	cl = c.Client(0, c.Admin)
	wantStranded(t, cl, file)
	nodetest.Wait(t, nodetest.Convergence, func() error {
		_, err := cl.MigrateAbort(t.Context(), "n1")
		return err
	})
	waitForState(t, cl, migrate.StateSoak)
	c.WaitServing(core.BackendKV, 0, 1, 2)
	added := nodetest.Identity(t).Public()
	nodetest.Wait(t, nodetest.Convergence, func() error {
		_, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(added), Role: core.RoleMember})
		return err
	})

	file, whole := rollBackDamaged(t, cl)
	if err := os.WriteFile(file+".new", whole, 0o600); err != nil {
		t.Fatal(err)
	}
	rename(t, file+".new", file)
	waitForState(t, cl, migrate.StateRolledBack)
	c.WaitServing(core.BackendSQLite, 0)
	checkFile(t, file, 31, 2)
	if _, err := cl.MigrateAbort(t.Context(), "n1"); core.KindOf(err) != core.KindRefused {
		t.Errorf("after it was served it is taken back: %v", err)
	}
}

// rollBackDamaged overwrites the file of a rollback while it waits for the leases
// to end, and returns its path and what was in it.
func rollBackDamaged(t *testing.T, cl *admin.Client) (file string, whole []byte) {
	t.Helper()
	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, nodetest.Convergence, func() error {
		st, err := cl.Migration(t.Context())
		if file = st.Export.Path; err == nil && file == "" {
			err = fmt.Errorf("%s: no file yet", st.State)
		}
		return err
	})
	whole, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, make([]byte, len(whole)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	wantStranded(t, cl, file)
	return file, whole
}

func wantStranded(t *testing.T, cl *admin.Client, file string) {
	t.Helper()
	st := waitForState(t, cl, migrate.StateRollback)
	if st.Error == nil || !strings.Contains(st.Error.Next, "unibusd restore --from BACKUP --db "+file) || !strings.Contains(st.Error.Next, "migration abort") {
		t.Fatalf("%v", st.Error)
	}
	nodetest.Wait(t, nodetest.Convergence, func() error { return findingOf(t.Context(), cl, file) })
}

// findingOf is nil once `status` says that nothing is served, and names the file.
func findingOf(ctx context.Context, cl *admin.Client, file string) error {
	st, err := cl.Status(ctx)
	if err != nil {
		return err
	}
	for _, f := range st.Findings {
		if strings.Contains(f.Text, "No node serves a control plane") && strings.Contains(f.Text, file) {
			return nil
		}
	}
	return fmt.Errorf("no finding names %s: %+v", file, st.Findings)
}

// TestKVNeedsNoFile: after the cutover the kept file may be damaged. Its node starts and serves.
func TestKVNeedsNoFile(t *testing.T) {
	t.Parallel()
	c, _ := soaking(t)
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Configs[0].DB, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(0); err != nil {
		t.Fatal(err)
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
}
