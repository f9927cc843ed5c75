package migrate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

func TestJournalKeepsAnEntry(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.json")
	a := core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 3}
	if e, err := NewFileJournal(path).Load(); err != nil || e.Authority != nil {
		t.Fatalf("missing: %+v, %v", e, err)
	}
	j := NewFileJournal(path)
	for _, f := range []func(*Entry){
		func(e *Entry) { e.Authority = &a },
		func(e *Entry) { e.Intent = &Intent{From: a, To: a} },
	} {
		if err := j.Update(f); err != nil {
			t.Fatal(err)
		}
	}
	got, err := NewFileJournal(path).Load()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Entry{Authority: &a, Intent: &Intent{From: a, To: a}}, got); d != "" {
		t.Error(d)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + "?*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestJournalDamagedIsNotOverwritten(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"cut": `{"authority":{"back`, "empty": "", "more": "{} {}", "text": "hello", "type": `{"authority":7}`} {
		path := filepath.Join(t.TempDir(), "journal.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		j := NewFileJournal(path)
		_, err := j.Load()
		if core.KindOf(err) != core.KindFailed || !strings.Contains(err.Error(), path) || core.AsError(err).Next == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := j.Update(func(e *Entry) { e.File = "x" }); err == nil {
			t.Errorf("%s: overwritten", name)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("%s: now %q", name, got)
		}
	}
}

// TestJournalFailedWriteKeepsTheOld: the new file cannot be made, the old one stands.
func TestJournalFailedWriteKeepsTheOld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.json")
	j := NewFileJournal(path)
	if err := j.Update(func(e *Entry) { e.File = "old" }); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.Update(func(e *Entry) { e.File = "new" }); core.KindOf(err) != core.KindFailed {
		t.Errorf("got %v", err)
	}
	if e, err := j.Load(); err != nil || e.File != "old" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestDamagedJournalStopsOpen(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 1)
	path := filepath.Join(w.dir, "journal.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.Journal = NewFileJournal(path)
	j := New(cfg)
	if err := j.Open(t.Context()); core.KindOf(err) != core.KindFailed {
		t.Errorf("got %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// TestJournalSyncFails: the file is replaced, and its directory cannot be put on disk.
// A write that was reported as failed is not read later; it can be done again.
func TestJournalSyncFails(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "journal.json")
		j := NewFileJournal(path)
		want := ""
		if !first {
			want = "old"
			if err := j.Update(func(e *Entry) { e.File = want }); err != nil {
				t.Fatal(err)
			}
		}
		good := j.syncDir
		j.syncDir = func(string) error { return os.ErrInvalid }
		err := j.Update(func(e *Entry) { e.File = "new" })
		if core.KindOf(err) != core.KindFailed || core.AsError(err).Next == "" {
			t.Fatalf("%v", err)
		}
		for _, r := range []*FileJournal{j, NewFileJournal(path)} { // this process, and the next
			if e, err := r.Load(); err != nil || e.File != want {
				t.Errorf("first %v: %+v, %v", first, e, err)
			}
		}
		j.syncDir = good
		if err := j.Update(func(e *Entry) { e.File = "new" }); err != nil {
			t.Fatal(err)
		}
		if e, err := NewFileJournal(path).Load(); err != nil || e.File != "new" {
			t.Errorf("again: %+v, %v", e, err)
		}
	}
}

// Its content is not returned until it could be restored.
func TestJournalThatCannotBeRestored(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.json")
	j := NewFileJournal(path)
	if err := j.Update(func(e *Entry) { e.File = "old" }); err != nil {
		t.Fatal(err)
	}
	j.syncDir = func(string) error {
		return errors.Join(os.ErrInvalid, os.MkdirAll(filepath.Join(path+".new", "x"), 0o700))
	}
	if err := j.Update(func(e *Entry) { e.File = "new" }); err == nil {
		t.Fatal("it is said to be on disk")
	}
	if _, err := j.Load(); core.KindOf(err) != core.KindFailed || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	j.syncDir = syncDir
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if e, err := j.Load(); err != nil || e.File != "old" {
		t.Errorf("%+v, %v", e, err)
	}
}
