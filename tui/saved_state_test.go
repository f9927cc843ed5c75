package tui_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/tui"
	"unibus/tui/statefile"
	"unibus/tui/tuitest"
)

// openState opens a state file as the program does.
func openState(t *testing.T, path string) *statefile.Store {
	t.Helper()
	s, err := statefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func withState(s *statefile.Store) func(*tui.Config) {
	return func(c *tui.Config) { c.State = s }
}

// TestCommandsAreRecalledInTheNextSession, except one that a seed was typed into.
func TestCommandsAreRecalledInTheNextSession(t *testing.T) {
	t.Parallel()
	const seed = "SUAFZQDX7PCWGLJJWV7HJO5YK4SHCY6OMVKM6OYESIGJDZSJRFB2VK62LI"
	path := filepath.Join(t.TempDir(), "console.json")
	h, _ := newHarness(t, tuitest.Healthy(), withState(openState(t, path)))
	for _, line := range []string{"buckets", "user revoke " + seed, "rooms"} {
		h.Press(":", line, "enter")
		h.Settle()
		h.Press("esc")
	}
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), seed[:10]) {
		t.Fatalf("%v: %s", err, text)
	}
	h, _ = newHarness(t, tuitest.Healthy(), withState(openState(t, path)))
	h.Press(":", "up")
	assertShows(t, h, ":rooms")
	h.Press("up")
	assertShows(t, h, ":buckets")
}

// TestUnreadableStateIsSaid: the console begins with the defaults, and says so where it was to be saved, too.
func TestUnreadableStateIsSaid(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "console.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := statefile.Open(path)
	cfg, _ := newConfig(tuitest.Healthy())
	cfg.State, cfg.Notice = s, tui.Notice(err)
	h := tuitest.NewHarness(cfg, 120, 40)
	assertShows(t, h, "Columns and commands are not remembered", "Mend or delete")
	h.Press(":", "rooms", "enter")
	h.Settle()
	assertShows(t, h, "50 rooms", "Columns and commands are not remembered")
	if text, _ := os.ReadFile(path); string(text) != "{" {
		t.Errorf("the file became %s", text)
	}
}
