//go:build nemesis && linux

package nemesis

import (
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestSampleRowsCanBeMigrated: every row of the fault tests can be migrated. The
// four tables of the file are on every node, and the nodes serve them.
func TestSampleRowsCanBeMigrated(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "seed.db")
	began := time.Now()
	rows := nodetest.SampleRows(t, 20_000)
	nodetest.Seed(t, db, rows)
	t.Logf("%d rows written in %s", len(rows.Users)+len(rows.Rooms)+len(rows.Members)+len(rows.Keys), time.Since(began).Round(time.Millisecond))
	want := digests(t, db)
	n := nodetest.StartNet(t, programs.Program(t, "unibusd"), nodetest.Config{SeedDB: db})
	n.WaitServing(core.BackendSQLite, 0)
	cl := n.Client()
	if _, err := cl.MigrateStart(t.Context(), "n1", migrate.Options{DB: n.Configs[0].DB, Replicas: 3, Cutover: true}); err != nil {
		t.Fatal(err)
	}
	st := nodetest.WaitMigration(t, cl, 2*time.Minute, migrate.StateSoak)
	m := &runningMigration{Net: n, t: t, cl: cl}
	m.requireEqual(st, want)
	n.WaitServing(core.BackendKV)
	users, err := admin.AllUsers(t.Context(), n.Client(2).UserPage)
	if err != nil {
		t.Fatal(err)
	}
	if len(users) != len(rows.Users) {
		t.Errorf("n3 has %d users, not %d", len(users), len(rows.Users))
	}
}
