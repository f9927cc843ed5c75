package keys_test

import (
	"os"
	"path/filepath"
	"testing"

	"unibus/core/keys"
)

// TestReplace: a file is replaced as a whole and for its owner alone, and the temporary
// file of a crash is deleted, nothing else.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, text := range []string{"a longer first", "second"} {
		if err := keys.Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := keys.Replace(filepath.Join(dir, "none", "state"), nil); err == nil {
		t.Error("a directory that is not there was written to")
	}
	if err := os.WriteFile(filepath.Join(dir, ".new-7"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.ClearUnfinished(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "state" {
		t.Errorf("left: %v, %v", left, err)
	}
}
