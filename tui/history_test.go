package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

// TestOpenIncidentIsNotScrolledAway by what happened after it.
func TestOpenIncidentIsNotScrolledAway(t *testing.T) {
	t.Parallel()
	state := tuitest.Degraded()
	for i := range 50 {
		at := core.MillisOf(tuitest.Now.Add(time.Duration(i-100) * time.Millisecond))
		state.Events = append(state.Events, cluster.Event{At: at, Level: cluster.Note, About: "ana", Text: fmt.Sprintf("did %d", i)})
	}
	cfg, _ := newConfig(state)
	h := tuitest.NewHarness(cfg, 120, 40)
	_, recent, _ := strings.Cut(h.Screen(), "RECENT")
	if lines := strings.Split(recent, "\n"); len(lines) < 3 || !strings.Contains(lines[1], "▲ 12:04:00  n3   n3 lost: 5 replicas, 1 election, not over yet") || !strings.Contains(lines[2], "did 49") {
		t.Errorf("recent: %s", recent)
	}
}

// TestIncompleteHistorySaysSo, as on a node that has not read it after a start.
func TestIncompleteHistorySaysSo(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.HistoryNote = "n1 has not read the history yet: only what it has seen itself is shown."
	h, _ := newHarness(t, state)
	h.Press("7")
	assertShows(t, h, state.HistoryNote)
}

// TestIncidentOfAHealthyClusterIsEnding: it says nothing else than the verdict, on either page.
func TestIncidentOfAHealthyClusterIsEnding(t *testing.T) {
	t.Parallel()
	state := tuitest.Degraded()
	open := state.Incidents
	cfg, f := newConfig(state)
	h := tuitest.NewHarness(cfg, 120, 40)
	h.Press("7")
	assertShows(t, h, "1 not over yet.", "n3 lost: 5 replicas, 1 election, not over yet")
	state = tuitest.Healthy()
	state.Incidents = open
	f.Set(state)
	h.Tick()
	assertHides(t, h, "not over yet", "goes on")
	assertShows(t, h, "ending", "healthy again; over once that has held", "1 over once the cluster has stayed healthy")
	h.Press("1")
	assertHides(t, h, "not over yet")
	assertShows(t, h, "healthy again; over once that has held")
}

// TestListWithoutIncidents has no column for their ends, and counts none.
func TestListWithoutIncidents(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	state.Incidents = nil
	h, _ := newHarness(t, state)
	h.Press("7")
	assertShows(t, h, "4 events, the newest first. None of them is an incident.")
	assertHides(t, h, "UNTIL", "0 incidents")
	h, _ = newHarness(t, tuitest.Healthy())
	h.Press("7")
	assertShows(t, h, "UNTIL")
}
