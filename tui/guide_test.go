package tui_test

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/doctor"
	"unibus/tui/tuitest"
)

// TestGuideTicksWhileItIsOpen: nodes come back, and the steps are done one after the other
// without a key. The replicas are compared only then.
func TestGuideTicksWhileItIsOpen(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.NoQuorum())
	h.Press(":", "guide quorum-lost", "enter")
	assertShows(t, h, "Next: Start n2.", "[>] Start n2", "[ ] Start n3", "[ ] A majority answers")
	f.Set(tuitest.Degraded())
	h.Tick()
	assertShows(t, h, "Next: Start n3.", "[>] Start n3")
	assertHides(t, h, "Start n2")
	back := tuitest.Healthy()
	back.Replicas = []doctor.Check{{Name: "replicas.UNIBUS_users", State: doctor.Unknown, Text: "n3 is slow"}}
	f.Set(back)
	h.Tick()
	h.Tick()
	assertShows(t, h, "Wait: n3 is slow.", "[~] Every replica holds the same rows")
	f.Set(tuitest.Healthy())
	h.Tick()
	assertShows(t, h, "A majority answers, every node is there, and every replica holds the same rows.", "[x] Every replica holds the same rows")
	h.Press("esc")
	assertHides(t, h, "Guide quorum-lost")
	assertShows(t, h, "control plane")
}

// TestGuideAsksTheNodeItself: a node that was started a moment ago, and is not heard yet, is not
// to be started again; nor is one to be restarted that does not answer any more.
func TestGuideAsksTheNodeItself(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.NoQuorum())
	h.Press(":", "guide quorum-lost", "enter")
	h.Tick()
	assertShows(t, h, "Next: Start n2.")
	f.Change(func(state *tuitest.ClusterState) { state.Runs = map[string]string{"n2": ""} })
	h.Tick()
	assertShows(t, h, "Next: Start n2.")
	f.Change(func(state *tuitest.ClusterState) { state.Runs = map[string]string{"n2": "another run"} })
	h.Tick()
	h.Tick()
	assertShows(t, h, "Wait: n2 has begun another run, and n1 has not heard it yet.")
	h.Tick()
	assertShows(t, h, "Wait: n2 has begun another run, and n1 has not heard it yet.")
	f.Set(tuitest.Degraded())
	h.Tick()
	assertShows(t, h, "Next: Start n3.")
}

// TestGuideStopsAtAWrongReplica: the comparison counts, whatever the servers say.
func TestGuideStopsAtAWrongReplica(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Replicas = []doctor.Check{{Name: "replicas.UNIBUS_users", State: doctor.Wrong, Text: "the replica of UNIBUS_users on n2 differs"}}
	h, f := newHarness(t, state)
	h.Press(":", "guide restart", "enter")
	h.Tick()
	assertShows(t, h, "Stop here: the replica of UNIBUS_users on n2 differs.", "[!] Every replica holds the same rows", "unibusd doctor --server")
	f.Set(tuitest.Healthy())
	h.Tick()
	assertShows(t, h, "Next: Hand over what n3 leads.")
}

// TestGuideGoesOnWithItsRound: nodes that were restarted stay done when the guide is left and opened again.
func TestGuideGoesOnWithItsRound(t *testing.T) {
	t.Parallel()
	h, f := newHarness(t, tuitest.Healthy())
	h.Press(":", "guide restart", "enter")
	h.Tick()
	f.Change(func(state *tuitest.ClusterState) {
		state.Status.Nodes = append([]cluster.Node(nil), state.Status.Nodes...)
		state.Status.At += 5000
		state.Status.Nodes[2].Started, state.Status.Nodes[2].ID = state.Status.At-1000, "another run"
	})
	h.Tick()
	assertShows(t, h, "[x] Restart n3")
	for _, leave := range []string{"esc", "2"} {
		h.Press(leave)
		assertHides(t, h, "Guide restart")
		h.Press(":", "guide restart", "enter")
		assertShows(t, h, "[x] Restart n3")
	}
}

// TestGuideOfAFinding: Enter opens the guide that the worst finding names, and only such a one.
func TestGuideOfAFinding(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.FullDisk())
	h.Press("f")
	assertShows(t, h, "enter guide disk-full")
	h.Press("enter")
	assertShows(t, h, "Guide disk-full: Free disk space where it is full", "[>] Free disk space on n3")
	h, _ = newHarness(t, tuitest.Degraded())
	h.Press("f")
	assertHides(t, h, "enter guide")
	h.Press("enter")
	assertShows(t, h, "FINDINGS")
}

// TestGuideRefusesWhatItCannotFillIn names what is there instead, and opens nothing.
func TestGuideRefusesWhatItCannotFillIn(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"guide frobnicate":         "There is no guide \"frobnicate\".",
		"guide disk-wiped":         "The guide disk-wiped takes NODE, and 0 were given.",
		"guide restart n1":         "The guide restart takes no arguments, and 1 were given.",
		"guide node-lost n1 n2 n3": "The guide node-lost takes OLD NEW, and 3 were given.",
	} {
		h, _ := newHarness(t, tuitest.Healthy())
		h.Press(":", line, "enter")
		h.Settle()
		assertShows(t, h, want)
		h.Press("esc")
		assertHides(t, h, "Guide ")
	}
}

// TestGuideInASmallWindow says at least what is next.
func TestGuideInASmallWindow(t *testing.T) {
	t.Parallel()
	h, _ := newHarness(t, tuitest.NoQuorum())
	h.Press(":", "guide quorum-lost", "enter")
	h.Send(tea.WindowSizeMsg{Width: 60, Height: 20})
	assertShows(t, h, "Guide quorum-lost. Next: Start n2.", "Do: with the data directory that it has")
	assertFits(t, h.Screen(), 60, 20)
}

// TestGuideBeforeTheFirstAnswer waits, and says so; a stale one is dated.
func TestGuideBeforeTheFirstAnswer(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	cfg, f := newConfig(tuitest.Healthy())
	cfg.Now = func() time.Time { return now }
	unreachable := core.Errorf(core.KindUnavailable, "no node answers")
	f.Fail(unreachable)
	h := tuitest.NewHarness(cfg, 80, 24)
	h.Press(":", "guide restart", "enter")
	assertShows(t, h, "Waiting for the first answer")
	f.Fail(nil)
	h.Tick()
	assertShows(t, h, "Guide restart")
	f.Fail(unreachable)
	now = now.Add(20 * time.Second)
	h.Tick()
	assertShows(t, h, "No answer for 20 s", "Wait: the replicas cannot be compared")
	if strings.Contains(h.Screen(), "[>]") {
		t.Error("a step is next although no node answers")
	}
}
