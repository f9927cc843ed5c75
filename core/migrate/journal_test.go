package migrate

import (
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

func TestDamagedJournalKeepsTheJobShut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
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
