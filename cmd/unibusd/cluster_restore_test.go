package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/backup"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestRestoreIntoCluster fills a new cluster of real processes with a backup. Two nodes are
// killed while they do it: nobody is admitted meanwhile, and the same command goes on, on
// another node. The restored rows are equal on every replica. A cluster that has rows is
// refused.
func TestRestoreIntoCluster(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.db")
	ann, rows := nodetest.Identity(t), nodetest.SampleRows(t, 10_000)
	rows.Users = append(rows.Users, core.User{ID: core.UserID(ann.Public()), Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	nodetest.Seed(t, file, rows)
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}

	killRestoring(t, p, 0, file, 0)
	nobodyAdmitted(t, p, ann, 1, 2)
	killRestoring(t, p, 1, file, 2000)
	nobodyAdmitted(t, p, ann, 0, 2)

	cl := p.Client(2)
	done, from, err := restoreInto(t, p, 2, file)
	if err != nil || done.Node != "n3" || len(done.Replicas) != 3 || !from.Same(backup.Content{Tables: done.Tables}) {
		t.Fatalf("%+v, %v", done, err)
	}
	for i := range p.Configs {
		nodetest.Wait(t, bootBudget, func() error {
			nc, err := p.Connect(i, ann)
			if err == nil {
				nc.Close()
			}
			return err
		})
	}
	nodetest.Wait(t, bootBudget, func() error { return nodetest.CheckHealthy(cl) })
	nodetest.Wait(t, bootBudget, func() error {
		st, err := cl.Status(t.Context())
		if err != nil || st.Counts == nil || st.Counts.Users != len(rows.Users) || st.Backups.Restore != nil || st.Authority.Generation != done.Generation {
			return fmt.Errorf("%+v, %+v, %w", st.Counts, st.Backups, err)
		}
		return nil
	})
	if _, _, err := restoreInto(t, p, 0, file); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second restore: %v", err)
	}
	log, err := cl.Audit(t.Context(), admin.AuditRequest{Limit: 20})
	if said := fmt.Sprint(log.Records); err != nil || !strings.Contains(said, "restore") {
		t.Errorf("the audit has no restore: %s, %v", said, err)
	}
}

func restoreInto(t *testing.T, p *nodetest.Processes, node int, file string) (core.ClusterRestored, backup.Restored, error) {
	t.Helper()
	cl := p.Client(node)
	var done core.ClusterRestored
	var from backup.Restored
	var err error = core.Errorf(core.KindUnavailable, "not tried")
	for until := time.Now().Add(2 * time.Minute); core.KindOf(err) == core.KindUnavailable && time.Now().Before(until); { // a restarted node may be without its peers yet
		done, from, err = backup.RestoreIntoCluster(t.Context(), cl, file, "", backup.Expect{}, nil)
	}
	return done, from, err
}

// killRestoring has a node restore, kills it once so many rows are written, and starts it
// again. One of the other nodes is frozen meanwhile, so that the restore, which compares every
// replica, is never over before the kill.
func killRestoring(t *testing.T, p *nodetest.Processes, node int, file string, rows int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	witness, frozen := (node+1)%3, (node+2)%3
	p.Signal(frozen, syscall.SIGSTOP)
	awaitStatusOf(t, p.Client(witness), func(st admin.Status) bool { return ledByOthers(st, p.Configs[frozen].Name) })
	cl := p.Client(node)
	ended, written := make(chan error, 1), atomic.Int64{}
	go func() {
		_, _, err := backup.RestoreIntoCluster(ctx, cl, file, "", backup.Expect{}, func(p backup.Progress) { written.Store(int64(p.Rows)) })
		ended <- err
	}()
	awaitStatusOf(t, p.Client(witness), func(st admin.Status) bool {
		select {
		case err := <-ended:
			t.Fatalf("the restore ended before it was killed: %v", err)
		default:
		}
		return st.Backups != nil && st.Backups.Restore != nil && st.Backups.Restore.Node == p.Configs[node].Name && written.Load() >= int64(rows)
	})
	p.Kill(node)
	cancel()
	if err := <-ended; err == nil {
		t.Error("a restore whose node was killed says that it is done")
	}
	p.Signal(frozen, syscall.SIGCONT)
	p.Start(node)
}

// ledByOthers is whether every group has a leader, and none is the node.
func ledByOthers(st admin.Status, node string) bool {
	leaders := []string{st.Meta.Leader}
	for _, b := range st.AllBuckets() {
		leaders = append(leaders, b.Leader)
	}
	return !slices.Contains(leaders, "") && !slices.Contains(leaders, node)
}

func nobodyAdmitted(t *testing.T, p *nodetest.Processes, ann keys.Identity, nodes ...int) {
	t.Helper()
	for range 5 {
		for _, i := range nodes {
			if nc, err := p.Connect(i, ann); err == nil {
				nc.Close()
				t.Fatalf("%s admits a user of a restore that was interrupted", p.Configs[i].Name)
			}
		}
	}
	st, err := p.Client(nodes...).Status(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(st.Findings), "restores a backup of") {
		t.Errorf("the status does not name the restore: %v, %v", st.Findings, err)
	}
}

// TestKeptKeyIsSaid: the restore says whose key the cluster has, and what operators do who know
// another one.
func TestKeptKeyIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signed *backup.Signature
		says   string
	}{
		{nil, "The cluster keeps its key CNEW."},
		{&backup.Signature{Key: "CNEW"}, "has the key that signed the backup"},
		{&backup.Signature{Key: "COLD"}, "keeps its own key CNEW. Operators and programs who know the old one refuse this cluster under the old addresses, until each has run: unibusd cluster-key forget COLD"},
	} {
		if got := keyNotice(c.signed, "CNEW"); !strings.Contains(got, c.says) {
			t.Errorf("%+v: %s", c.signed, got)
		}
	}
}
