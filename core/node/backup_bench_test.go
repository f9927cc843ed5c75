package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/backup"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// BenchmarkScheduledBackup has three nodes migrate a file, and then make a scheduled backup of
// the buckets. backup is the time from the request to the record, with the rehearsal; restore
// is that of the file. Both are compared with the copy of the migration, of the same rows on
// the same nodes.
func BenchmarkScheduledBackup(b *testing.B) {
	path := filepath.Join(b.TempDir(), "seed.db")
	nodetest.Seed(b, path, nodetest.SampleRows(b, *copyRows))
	ratios := map[string][]float64{}
	for b.Loop() {
		copied, made, restored, rows := movedAndBackedUp(b, path)
		fmt.Fprintf(os.Stderr, "%d rows: copy %s, backup %s, restore %s\n", rows, copied, made, restored)
		ratios["backup/copy"] = append(ratios["backup/copy"], copied.Seconds()/made.Seconds())
		ratios["restore/copy"] = append(ratios["restore/copy"], copied.Seconds()/restored.Seconds())
	}
	b.ReportMetric(0, "ns/op")
	for name, v := range ratios {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
		b.ReportMetric(v[0], name+"-min")
		b.ReportMetric(v[len(v)-1], name+"-max")
	}
}

func movedAndBackedUp(b *testing.B, path string) (copied, made, restored time.Duration, rows int) {
	b.Helper()
	round := &inRound{TB: b}
	defer round.end()
	dir := round.TempDir()
	c := nodetest.Start(round, nodetest.Config{SeedDB: path, Before: func(c *nodetest.Cluster) {
		c.Configs[0].BackupDir, c.Configs[0].BackupEvery = dir, "744h"
	}})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	firstBackup(b, cl) // of the SQLite file, before the copy
	nodetest.Wait(b, time.Minute, func() error {
		_, err := cl.MigrateStart(b.Context(), "n1", migrate.Options{DB: c.Configs[0].DB, Replicas: 3})
		return err
	})
	at := map[migrate.State]time.Time{}
	for _, h := range watchMove(b, cl).History {
		at[h.State] = h.At.Time()
	}
	if _, err := cl.MigrateCutover(b.Context(), "n1"); err != nil {
		b.Fatal(err)
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
	begun := time.Now()
	asked, err := cl.BackupNow(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var backedUp core.ScheduledBackup
	nodetest.Wait(b, 5*time.Minute, func() error {
		st, err := cl.Status(b.Context())
		if err != nil {
			return err
		}
		done := false
		if backedUp, done, err = admin.RequestedBackup(st.View, asked); err != nil || !done {
			return fmt.Errorf("no backup yet: %w", err)
		}
		return nil
	})
	made = backedUp.Rehearsed.Time().Sub(begun)
	begun = time.Now()
	if _, err := backup.Restore(b.Context(), filepath.Join(dir, backedUp.Name), filepath.Join(round.TempDir(), "new.db"), backup.Expect{}); err != nil {
		b.Fatal(err)
	}
	return at[migrate.StateVerify].Sub(at[migrate.StateCopy]), made, time.Since(begun), backedUp.Rows
}

func firstBackup(b *testing.B, cl *admin.Client) {
	b.Helper()
	nodetest.Wait(b, 10*time.Minute, func() error {
		st, err := cl.Status(b.Context())
		if err != nil || st.Backups == nil || len(st.Backups.Kept) == 0 {
			return fmt.Errorf("%+v, %v", st.Backups, err)
		}
		return nil
	})
}
