package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/backup"
	"unibus/core/config"
	"unibus/core/nodetest"
)

// TestKilledNodeLeavesNoScheduledBackup kills nodes with SIGKILL while they make the scheduled backup of
// three real processes: while the file is made, and while it is rehearsed. Another node makes it. The
// list has one whole file, and the directory has no other one at the end.
func TestKilledNodeLeavesNoScheduledBackup(t *testing.T) {
	t.Parallel()
	dir, seed := t.TempDir(), filepath.Join(t.TempDir(), "seed.db")
	nodetest.Seed(t, seed, nodetest.SampleRows(t, 40_000))
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{
		Store: core.BackendKV, Env: []string{"UNIBUS_BACKUP_DIR=" + dir, "UNIBUS_BACKUP_EVERY=744h"},
	})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	cl := p.Client()
	lastBackup(t, cl, "") // of the empty cluster
	if _, _, err := restoreInto(t, p, 0, seed); err != nil {
		t.Fatal(err)
	}
	kept := []string{lastBackup(t, cl, "")}
	for _, moment := range []struct {
		name string
		come func(lease core.BackupLease) bool
	}{
		{"while it is made", func(core.BackupLease) bool { return true }},
		{"while it is rehearsed", func(l core.BackupLease) bool {
			_, err := os.Stat(filepath.Join(dir, l.Name))
			return l.Name != "" && err == nil
		}},
	} {
		killed := killBackingUp(t, p, cl, moment.come)
		name := lastBackup(t, cl, kept[len(kept)-1])
		if strings.Contains(name, "-"+p.Configs[killed].Name+".db") {
			t.Errorf("%s: %s is of the node that was killed", moment.name, name)
		}
		kept = append(kept, name)
		p.Start(killed)
		waitServing(t, p, killed, core.BackendKV)
		nodetest.Wait(t, bootBudget, func() error {
			left, err := filepath.Glob(filepath.Join(dir, "unibus-*"))
			for i := range left {
				left[i] = filepath.Base(left[i])
			}
			slices.Sort(left)
			if want := slices.Sorted(slices.Values(kept)); err != nil || !slices.Equal(left, want) {
				return fmt.Errorf("%s: the directory has %q, want %q (%w)", moment.name, left, want, err)
			}
			return nil
		})
		if c, err := backup.Check(t.Context(), filepath.Join(dir, name)); err != nil || c.Tables[0].Count == 0 {
			t.Errorf("%s: %s: %v, %v", moment.name, name, c, err)
		}
	}
}

// lastBackup waits for a rehearsed backup after one, and returns its name.
func lastBackup(t *testing.T, cl *admin.Client, after string) (name string) {
	t.Helper()
	nodetest.Wait(t, 3*time.Minute, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil || st.Backups == nil {
			return fmt.Errorf("%+v, %w", st.Backups, err)
		}
		last, ok := st.Backups.Last()
		if !ok || last.Name == after {
			return fmt.Errorf("no backup after %q: %+v", after, st.Backups)
		}
		name = last.Name
		return nil
	})
	return name
}

// killBackingUp asks for a backup, and kills the node that makes it at a moment.
func killBackingUp(t *testing.T, p *nodetest.Processes, cl *admin.Client, come func(core.BackupLease) bool) (node int) {
	t.Helper()
	nodetest.Wait(t, bootBudget, func() error {
		_, err := cl.BackupNow(t.Context())
		return err
	})
	nodetest.Wait(t, 2*time.Minute, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil || st.Backups == nil || st.Backups.Lease == nil || !come(*st.Backups.Lease) {
			return errors.Join(errors.New("it is not the moment"), err)
		}
		node = slices.IndexFunc(p.Configs, func(n config.Node) bool { return n.Name == st.Backups.Lease.Node })
		return nil
	})
	p.Kill(node)
	return node
}
