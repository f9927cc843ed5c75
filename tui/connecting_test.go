package tui_test

import (
	"testing"

	"unibus/tui/tuitest"
)

// TestConsoleStartsWithoutANode: the frame is there at once, on every page, and the cluster
// once a node answers.
func TestConsoleStartsWithoutANode(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Unreachable())
	for _, page := range []string{"1", "2", "4", "6", "9"} {
		h.Press(page)
		assertShows(t, h, "No node has answered yet.", "10.0.0.1:4222", "connection refused, since 12:04:22", "n3.example.org:4222  is being tried", "Do: check the address", "? not known", "connecting")
	}
	h.Press("?")
	assertShows(t, h, "Everywhere")
	h.Press("esc", "1")
	f.Change(func(s *tuitest.ClusterState) { s.Attempts = nil })
	h.Tick()
	assertShows(t, h, "live from n1", "3 of 3 online")
}
