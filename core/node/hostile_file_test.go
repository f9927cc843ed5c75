package node_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite/hostile"
)

// TestAProgramInTheFileOfANode: a trigger is added to the files of two nodes that serve them.
// The files are not compared, migrated or backed up. No change is accepted or acknowledged
// in them, and they admit no user. A node does not start with such a file. Without the
// trigger all works as before.
func TestAProgramInTheFileOfANode(t *testing.T) {
	t.Parallel()
	const trigger = "CREATE TRIGGER comes_back AFTER UPDATE ON users BEGIN UPDATE users SET status = 'active' WHERE id = NEW.id; END"
	a, b := nodetest.Identity(t), nodetest.Identity(t)
	c := startTwoFiles(t, seed(a, b), seed(a, b))
	run := func(i int, sql string) {
		t.Helper()
		if err := hostile.Spoil(c.Configs[i].DB, sql); err != nil {
			t.Fatal(err)
		}
	}
	run(1, trigger)
	st := moveTo(t, c, migrate.Options{DryRun: true})
	if len(st.Divergences) != 1 || !strings.Contains(st.Divergences[0].Error, "comes_back") || len(st.Problems) == 0 {
		t.Errorf("compared: %v, %+v, %+v", st.Error, st.Problems, st.Divergences)
	}
	run(0, trigger)
	cl := c.Client(0, c.Admin)
	out := filepath.Join(t.TempDir(), "out.db")
	_, err := cl.UserRevoke(t.Context(), a.Public())
	_, errBackup := backup.Fetch(t.Context(), cl, out, nil)
	for what, err := range map[string]error{"revoked": err, "saved": errBackup} {
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "comes_back") || core.AsError(err).Next == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if st = moveTo(t, c, migrate.Options{DryRun: true}); st.Error == nil && len(st.Problems) == 0 || !strings.Contains(fmt.Sprint(st.Error, st.Problems), "comes_back") {
		t.Errorf("moved: %v, %+v", st.Error, st.Problems)
	}
	if admits(t, c, 0, b) {
		t.Error("it admitted a user")
	}
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(1); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "comes_back") {
		t.Errorf("n2 starts with it: %v", err)
	}
	run(0, "DROP TRIGGER comes_back")
	run(1, "DROP TRIGGER comes_back")
	if err := c.Open(1); err != nil {
		t.Fatal(err)
	}
	if u, err := cl.UserRevoke(t.Context(), a.Public()); err != nil || u.Status != core.UserRevoked {
		t.Errorf("%+v, %v", u, err)
	}
	taken, err := backup.Fetch(t.Context(), cl, out, nil)
	if err != nil || taken.Signed == nil || taken.Signed.Node != "n1" {
		t.Errorf("%+v, %v", taken.Signed, err)
	}
}
