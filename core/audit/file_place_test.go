package audit

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFileInPlace: a removed, replaced or truncated file is told from the one that the
// running Log wrote, also after further records. A rotation is none of these.
func TestFileInPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm func(path string) error
		want FileState // before the next record
		then FileState // after it
	}{
		"nothing": {func(string) error { return nil }, FileInPlace, FileInPlace},
		"removed": {os.Remove, FileMissing, FileReplaced},
		"replaced": {func(path string) error {
			if err := os.WriteFile(path+".new", []byte("{}\n"), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, FileReplaced, FileReplaced},
		"cut": {func(path string) error { return os.Truncate(path, 1) }, FileCut, FileCut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := file{path: filepath.Join(t.TempDir(), "audit.jsonl")}
			if err := f.open(); err != nil || f.place() != FileInPlace {
				t.Fatalf("%v, %q", err, f.place())
			}
			write := func() {
				t.Helper()
				if _, err := f.append(entry{ID: "a", Phase: phaseIntent}); err != nil {
					t.Fatal(err)
				}
			}
			write()
			if err := c.harm(f.path); err != nil {
				t.Fatal(err)
			}
			if got := f.place(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			write()
			if got := f.place(); got != c.then {
				t.Errorf("after a record %q, want %q", got, c.then)
			}
		})
	}
	rotated := file{path: filepath.Join(t.TempDir(), "audit.jsonl"), limit: 1}
	if err := rotated.open(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := rotated.addCopied("", copied{Mark: markStream, Created: "x"}); err != nil {
			t.Fatal(err)
		}
		if got := rotated.place(); got != FileInPlace {
			t.Errorf("after a rotation: %q", got)
		}
	}
}
