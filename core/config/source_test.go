package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

func TestDiffNamesSettings(t *testing.T) {
	t.Parallel()
	a := Default()
	b := a
	b.Listen, b.Routes, b.NatsDebug = "127.0.0.1:1", []string{"h:1"}, true
	b.Operators = []core.Operator{{Key: alice}}
	if d := cmp.Diff([]string{"listen", "routes", "operator"}, Diff(a, b)); d != "" {
		t.Error(d)
	}
	if got := Diff(b, b); got != nil {
		t.Errorf("%q differ from themselves", got)
	}
}

// TestPrintFollowsTheFile: other content is another print even at the same time and size.
func TestPrintFollowsTheFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "n.toml")
	s := Source{Environ: []string{envConfig + "=" + file}}
	absent := s.Fingerprint()
	var prints []string
	for _, text := range []string{"a", "b"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, when(), when()); err != nil {
			t.Fatal(err)
		}
		prints = append(prints, s.Fingerprint())
	}
	if s.Path() != file || prints[0] == prints[1] || prints[0] == absent || s.Fingerprint() != prints[1] {
		t.Errorf("%q, absent %q", prints, absent)
	}
}

func when() time.Time { return time.Unix(1_700_000_000, 0) }
