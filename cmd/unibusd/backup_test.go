package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/backup"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/kv"
)

// moved is a cluster of processes whose control plane is in KV, with one user.
func moved(t *testing.T) (p *nodetest.Processes, old core.User) {
	t.Helper()
	old = user(nodetest.Identity(t))
	p = nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Seed: core.Snapshot{Users: []core.User{old}}})
	waitServing(t, p, 0, core.BackendSQLite)
	cl := p.Client(0)
	move(t, cl, "n1", migrate.Options{DB: realPath(t, p.Configs[0].DB), Replicas: 3, Cutover: true})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	nodetest.Wait(t, bootBudget, func() error { return replicated(t, cl, 3) })
	return p, old
}

// TestKilledNodeLeavesNoBackup: the node that made the file dies before it was
// fetched. Nothing of it is on its disk, and a new process knows nothing of it.
func TestKilledNodeLeavesNoBackup(t *testing.T) {
	t.Parallel()
	p, _ := moved(t)
	token := strings.Repeat("t", 32)
	cl := p.Client(1)
	b, err := cl.BackupCreate(t.Context(), "n1", token)
	if err != nil || b.Backend != core.BackendKV || b.Tables[0].Count != 1 || b.Bytes == 0 {
		t.Fatalf("%+v, %v", b, err)
	}
	if part, err := cl.BackupPart(t.Context(), "n1", core.BackupPartRequest{Token: token}); err != nil || len(part.Data) == 0 {
		t.Fatalf("%d bytes, %v", len(part.Data), err)
	}
	if _, err := cl.BackupPart(t.Context(), "n2", core.BackupPartRequest{Token: token}); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another node: %v", err)
	}
	p.Kill(0)
	if _, err := cl.BackupPart(t.Context(), "n1", core.BackupPartRequest{Token: token}); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a dead node: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(p.Configs[0].Data, "handing-out", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("left on its disk: %v, %v", left, err)
	}
	p.Start(0)
	waitServing(t, p, 0, core.BackendKV)
	if _, err := p.Client(0).BackupPart(t.Context(), "n1", core.BackupPartRequest{Token: token}); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the next process: %v", err)
	}
	out := filepath.Join(t.TempDir(), "out.db")
	if _, err := backup.Fetch(t.Context(), p.Client(2), out, nil); err != nil {
		t.Error(err)
	}
}

// TestLostDiskOfOneNode: docs/operations/restore.md says that nothing need be restored. Even
// the node that did the move comes back with an empty directory, and carries the
// cluster when another one is away. It is patient: groups elect while other
// clusters of this package keep the disk busy.
func TestLostDiskOfOneNode(t *testing.T) {
	t.Parallel()
	p, old := moved(t)
	p.Kill(0)
	if err := os.RemoveAll(p.Configs[0].Data); err != nil {
		t.Fatal(err)
	}
	p.Start(0)
	waitServing(t, p, 0, core.BackendKV)
	nodetest.Wait(t, 3*bootBudget, func() error { return replicated(t, p.Client(1), 3) })
	// A leader may call a replica current for a moment that has just come back empty. A
	// replica that may become leader has everything.
	nodetest.Wait(t, 3*bootBudget, func() error { return leads(t, p.Client(1), "n1") })
	p.Kill(2)
	nodetest.Wait(t, 3*bootBudget, func() error {
		u, err := p.Client(0).UserGet(t.Context(), string(old.ID))
		if err == nil && u.Status != core.UserActive {
			t.Errorf("%+v", u)
		}
		return err
	})
	out := filepath.Join(t.TempDir(), "out.db")
	nodetest.Wait(t, 3*bootBudget, func() error {
		taken, err := backup.Fetch(t.Context(), p.Client(0), out, nil)
		if err == nil && taken.Tables[0].Count != 1 {
			t.Errorf("%+v", taken)
		}
		return err
	})
}

// TestProgressIsForTerminals: one line that is gone at the end, and nothing in a file or a pipe.
func TestProgressIsForTerminals(t *testing.T) {
	t.Parallel()
	if told, over := showProgress(nil, false); told != nil {
		t.Error("progress is told to a pipe")
	} else {
		over()
	}
	var out strings.Builder
	told, over := showProgress(&out, true)
	for _, p := range []backup.Progress{{Node: "n1"}, {Node: "n1", Rows: 7}, {Node: "n1", Bytes: 1 << 20, Total: 4 << 20}} {
		told(p)
	}
	over()
	const wipe = "\r\x1b[K"
	want := wipe + "n1 reads the control plane" + wipe + "n1 writes the file: 7 rows" + wipe + "fetching from n1: 1024 of 4096 KiB" + wipe
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// leads has a node lead every group, and is nil once it does. Of the buckets it
// is seen who leads; the other groups hand over to a replica that is current alone.
func leads(t *testing.T, cl *admin.Client, node string) error {
	t.Helper()
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		return err
	}
	var missing error
	for _, b := range st.Buckets {
		if b.Leader != node {
			_, err := cl.StepDown(t.Context(), b.Name, node)
			missing = errors.Join(missing, fmt.Errorf("%s is led by %q", b.Name, b.Leader), err)
		}
	}
	if missing != nil {
		return missing
	}
	for _, group := range []string{kv.ControlBucket, kv.NoncesBucket, audit.Stream} {
		_, err := cl.StepDown(t.Context(), group, node)
		missing = errors.Join(missing, err)
	}
	return missing
}
