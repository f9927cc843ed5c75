package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// TestLoadOfAFileThatChanges: a file that changed while it was read may be half of one,
// and is not used. Settle says when a file rests.
func TestLoadOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "n.toml")
	write := func(i int) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "name = \"n%d\"\n", i), 0o600); err != nil {
			t.Error(err)
		}
	}
	write(0)
	s := Source{File: file, Flags: map[string][]string{"data": {t.TempDir()}}}
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i = (i + 1) % 10 {
			select {
			case <-done:
				return
			default:
				write(i)
			}
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := s.Load()
		if core.KindOf(err) == core.KindUnavailable && strings.Contains(err.Error(), "changes while it is read") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a file that changes all the time was read: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*settlePause)
	defer cancel()
	if err := s.Settle(ctx); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a file that changes all the time rests: %v", err)
	}
	close(done)
	writer.Wait()
	write(7)
	if err := s.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := s.Load(); err != nil || n.Name != "n7" {
		t.Errorf("%q, %v", n.Name, err)
	}
}
