package node

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSameFile: --db through a link is the file that the journal names resolved, also if the
// file no longer exists.
func TestSameFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if !sameFile(filepath.Join(real, "u.db"), filepath.Join(link, "u.db")) || sameFile(filepath.Join(real, "u.db"), filepath.Join(link, "v.db")) {
		t.Error("missing files")
	}
	if err := os.WriteFile(filepath.Join(real, "u.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !sameFile(filepath.Join(real, "u.db"), filepath.Join(link, "u.db")) {
		t.Error("a file that is there")
	}
}
