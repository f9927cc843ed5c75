package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/tui/tuitest"
)

// ringing is what the console sends to the terminal beside its screen.
func ringing(h *tuitest.Harness) string {
	var out strings.Builder
	for _, msg := range h.PendingMessages() {
		if batch, ok := msg.(tea.BatchMsg); ok {
			for _, cmd := range batch {
				if raw, ok := cmd().(tea.RawMsg); ok {
					fmt.Fprint(&out, raw.Msg)
				}
			}
		} else if raw, ok := msg.(tea.RawMsg); ok {
			fmt.Fprint(&out, raw.Msg)
		}
	}
	return out.String()
}

func TestBellRingsWhenTheVerdictBecomesWorse(t *testing.T) {
	t.Parallel()
	cfg, f := newConfig(tuitest.Degraded())
	now := tuitest.Now
	cfg.Now = func() time.Time { return now }
	h := tuitest.NewHarness(cfg, 80, 24)
	see := func(name string, state tuitest.ClusterState, after time.Duration, want string) {
		t.Helper()
		now = now.Add(after)
		f.Change(func(s *tuitest.ClusterState) { *s = state })
		h.Tick()
		if got := ringing(h); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	see("what was so at the start", tuitest.Degraded(), time.Minute, "")
	see("better", tuitest.Healthy(), time.Minute, "")
	see("worse", tuitest.Degraded(), time.Minute, "\a")
	see("the same", tuitest.Degraded(), time.Minute, "")
	see("worse again", tuitest.NoQuorum(), time.Minute, "\a")
	see("better, after a moment", tuitest.Healthy(), time.Second, "")
	see("it comes and goes", tuitest.NoQuorum(), time.Second, "")
	see("better", tuitest.Healthy(), time.Minute, "")
	h.Press("space")
	ringing(h)
	see("worse in a pause of the screen", tuitest.Degraded(), time.Minute, "\a")
	see("better", tuitest.Healthy(), time.Minute, "")
	h.Press("B")
	assertShows(t, h, "The bell is off. B turns it on.")
	see("worse, the bell off", tuitest.Degraded(), time.Minute, "")
	h.Press("B")
	see("better", tuitest.Healthy(), time.Minute, "")
	h.Send(tea.EnvMsg{"TERM=xterm-256color", "TERM_PROGRAM=WezTerm"})
	see("worse, in a terminal that notifies", tuitest.Degraded(), time.Minute, "\a\x1b]9;demo is degraded: n3 does not answer. Two of three nodes are enough: everything can be read and written. Should another stop, nothing could be written.\x07")
	cfg.NoBell = true
	h = tuitest.NewHarness(cfg, 80, 24)
	see("worse, without a bell", tuitest.NoQuorum(), time.Minute, "")
}
