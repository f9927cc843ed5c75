package sshd

import (
	"os"
	"path/filepath"
	"testing"

	"unibus/core"
)

// TestHostKey is made once, kept private, and refused when others may read it.
func TestHostKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	first := New(Config{Dir: dir})
	if err := first.Open(); err != nil {
		t.Fatal(err)
	}
	again := New(Config{Dir: dir})
	if err := again.Open(); err != nil || again.Fingerprint() != first.Fingerprint() {
		t.Errorf("%s then %s, %v", first.Fingerprint(), again.Fingerprint(), err)
	}
	path := filepath.Join(dir, hostKeyFile)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := New(Config{Dir: dir}).Open(); core.KindOf(err) != core.KindRefused {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Config{Dir: dir}).Open(); core.KindOf(err) != core.KindInvalid {
		t.Errorf("a file that is no key: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "no key" {
		t.Error("the file was changed")
	}
}
