package migrate

import (
	"context"
	"os"
	"slices"
	"testing"

	"unibus/core"
)

// listFiles names the files of a directory, the hidden ones too.
func listFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// TestKillDuringBackup leaves part of the control plane in a file: the operator's next
// command removes it, whichever it is.
func TestKillDuringBackup(t *testing.T) {
	t.Parallel()
	for _, noBackup := range []bool{false, true} {
		for _, then := range []string{"abort", "resume", "start"} {
			w, left := newKilledInBackup(t, noBackup)
			j := w.job(t, nil)
			backups := 1
			switch then {
			case "abort":
				backups = 0
				if _, err := j.Abort(t.Context(), "ana"); err != nil {
					t.Fatal(err)
				}
			case "resume":
				if _, err := j.Resume(t.Context(), "ana"); err != nil {
					t.Fatal(err)
				}
				wantState(t, awaitStopped(t, j), StateVerify)
			case "start":
				wantState(t, startAndWait(t, j, w.options()), StateVerify)
			}
			if noBackup && then != "start" {
				backups = 0
			}
			found := listFiles(t, w.dir)
			now, err := os.ReadFile(left)
			if len(found) != 1+backups || err == nil && string(now) == "a part" {
				t.Errorf("no backup %v, %s: the directory has %v", noBackup, then, found)
			}
			if e, err := w.journal.Load(); err != nil || e.UnfinishedBackup != "" {
				t.Errorf("the journal still names %q, %v", e.UnfinishedBackup, err)
			}
		}
	}
}

// newKilledInBackup is a cluster whose node was killed while it wrote the backup
// left.
func newKilledInBackup(t *testing.T, noBackup bool) (w *fakeCluster, left string) {
	t.Helper()
	w = newFakeCluster(t, 10)
	var was []byte
	j := w.job(t, func(c *Config) {
		c.Backup = func(_ context.Context, path string) (Backup, error) {
			left, was = path, slices.Clone(w.journal.data)
			return Backup{}, errCrashed
		}
	})
	o := w.options()
	o.NoBackup = noBackup
	startAndWait(t, j, o)
	_ = j.Close()
	w.journal.data = was
	if err := os.WriteFile(left, []byte("a part"), 0o600); err != nil {
		t.Fatal(err)
	}
	return w, left
}

// TestExistingFileIsNotRemovedAsBackup: it took the name in the last moment.
func TestExistingFileIsNotRemovedAsBackup(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 10)
	j := w.job(t, func(c *Config) {
		c.Backup = func(_ context.Context, path string) (Backup, error) {
			if err := os.WriteFile(path, []byte("another's"), 0o600); err != nil {
				return Backup{}, err
			}
			return Backup{}, core.Errorf(core.KindExists, "%s is there already", path)
		}
	})
	if s := startAndWait(t, j, w.options()); s.State != StateBackup || s.Error == nil {
		t.Fatalf("%s %v", s.State, s.Error)
	}
	if _, err := j.Abort(t.Context(), "ana"); err != nil || len(listFiles(t, w.dir)) != 2 {
		t.Errorf("%v, left: %v", err, listFiles(t, w.dir))
	}
}
