package tui_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/tuitest"
)

// randomKeys are all keys that do something but quit, and some that do nothing.
func randomKeys() []string {
	keys := []string{"enter", "enter", "esc", "tab", "shift+tab", "up", "down", "left", "right", "pgup", "pgdown", "home", "end", "space", "backspace", ":", "/", "?", "日"}
	for r := '!'; r <= '~'; r++ {
		if r != 'q' {
			keys = append(keys, string(r))
		}
	}
	return keys
}

// TestRandomKeysDoNothingUnconfirmed: any keys leave a whole screen, and change the cluster only by a key
// that a dialog took.
func TestRandomKeysDoNothingUnconfirmed(t *testing.T) {
	t.Parallel()
	for seed, world := range []func() tuitest.ClusterState{tuitest.Healthy, tuitest.OnSQLite, tuitest.NoQuorum, tuitest.AfterCutover} {
		rng := rand.New(rand.NewPCG(uint64(seed), 7)) //nolint:gosec // a test that can be repeated
		cfg, f := newConfig(world())
		h := tuitest.NewHarness(cfg, 80, 24)
		keys, calls := randomKeys(), 0
		var pressed []string
		for range 400 {
			if rng.IntN(50) == 0 {
				size := sizes[rng.IntN(len(sizes))]
				h.Send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			}
			before := h.Screen()
			k := keys[rng.IntN(len(keys))]
			pressed = append(pressed, k)
			h.Press(k)
			if screen := h.Screen(); rng.IntN(4) > 0 && strings.Contains(screen, "a dialog has opened") || strings.Contains(screen, "aiting for the answer") {
				h.Step() // else keys come while a dialog takes none yet
			} else {
				h.DropPending() // the clock
			}
			if n := len(f.Calls()); n > calls && !strings.Contains(before, "enter choose") && !strings.Contains(before, "A dialog is open") {
				t.Fatalf("%q was called by %q, and no dialog was open:\n%s", f.Calls()[calls:], pressed[max(0, len(pressed)-9):], before)
			}
			calls = len(f.Calls())
			if h.Screen() == "" || h.HasQuit {
				t.Fatalf("there is no screen after %q", pressed[max(0, len(pressed)-9):])
			}
		}
		t.Logf("state %d: %d changes were confirmed", seed, calls)
	}
}
