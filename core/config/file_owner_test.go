package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
)

// TestFileThatOthersCanChangeIsRefused: a user who can write the file is an operator,
// so its owner and mode count, and those of its directory.
func TestFileThatOthersCanChangeIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		file, dir  os.FileMode
		owner      int // of the file; -1: ours
		refused    string
		next       string
		throughlnk bool
	}{
		{"as an editor writes it", 0o644, 0o755, -1, "", "", false},
		{"for its owner alone", 0o600, 0o700, -1, "", "", false},
		{"read-only", 0o444, 0o555, -1, "", "", false},
		{"the group can write", 0o664, 0o755, -1, "(mode 0664)", "chmod go-w ", false},
		{"others can write", 0o646, 0o755, -1, "(mode 0646)", "chmod go-w ", false},
		{"the directory's group can write", 0o644, 0o775, -1, "directory", "chmod go-w ", false},
		{"others can write the directory", 0o644, 0o757, -1, "directory", "chmod go-w ", false},
		{"sticky, as /tmp", 0o644, 0o777 | os.ModeSticky, -1, "", "", false},
		{"another user's", 0o644, 0o755, 12345, "user 12345", "chown root ", false},
		{"behind a link", 0o664, 0o755, -1, "(mode 0664)", "chmod go-w ", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "etc")
			file := filepath.Join(dir, "n1.toml")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(`name = "n7"`), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.owner >= 0 {
				if os.Geteuid() != 0 {
					t.Skip("only root gives a file away")
				}
				if err := os.Chown(file, c.owner, -1); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(file, c.file); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, c.dir); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
			if c.throughlnk {
				link := filepath.Join(t.TempDir(), "link.toml")
				if err := os.Symlink(file, link); err != nil {
					t.Fatal(err)
				}
				file = link
			}
			n, err := Load(file, nil, nil)
			if c.refused == "" {
				if err != nil || n.Name != "n7" {
					t.Errorf("%v", err)
				}
				return
			}
			if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), c.refused) || !strings.HasPrefix(core.AsError(err).Next, c.next) {
				t.Errorf("%v; next: %s", err, core.AsError(err).Next)
			}
		})
	}
}

// TestPrintChangesWithTheMode: a file that was made safe is read again by itself.
func TestPrintChangesWithTheMode(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "n1.toml")
	if err := os.WriteFile(file, []byte(`name = "n7"`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Source{File: file}
	before := s.Fingerprint()
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if s.Fingerprint() == before {
		t.Error("the print does not change with the mode")
	}
}

// TestSampleKeyIsRefused: the key of the sample configuration is nobody's.
func TestSampleKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, key := range []string{sampleKey, strings.ToLower(sampleKey)} {
		_, err := Load("", nil, map[string][]string{"operator": {key + ":admin:ana"}})
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "sample") || !strings.Contains(core.AsError(err).Next, "keygen operator") {
			t.Errorf("%v; next: %s", err, core.AsError(err).Next)
		}
	}
}
