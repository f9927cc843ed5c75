package tui_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

// TestOverviewMapsReplicas: each node's replica of each bucket, and how far it is behind.
func TestOverviewMapsReplicas(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i, r := range state.Status.Buckets[0].Replicas {
		switch r.Node {
		case "n2":
			state.Status.Buckets[0].Replicas[i].State, state.Status.Buckets[0].Replicas[i].Lag = cluster.ReplicaBehind, 41
		case "n3":
			state.Status.Buckets[0].Replicas[i].State = cluster.ReplicaUnknown
		}
	}
	state.Status.Buckets[1].Replicas = state.Status.Buckets[1].Replicas[:2]
	for _, size := range []struct {
		w, h  int
		shown bool
	}{{120, 40, true}, {200, 60, true}, {80, 24, false}, {80, 60, true}, {70, 60, false}} {
		cfg, _ := newConfig(state)
		screen := tuitest.NewHarness(cfg, size.w, size.h).Screen()
		if got := strings.Contains(screen, " REPLICAS  users  rooms  members"); got != size.shown {
			t.Errorf("%dx%d: the map is there: %v\n%s", size.w, size.h, got, screen)
		}
		if size.shown && (!strings.Contains(screen, " n1        ◆      ◆      ●") || !strings.Contains(screen, " n2        ▲ 41   ●      ◆") || !strings.Contains(screen, " n3        ?             ●")) {
			t.Errorf("%dx%d:\n%s", size.w, size.h, screen)
		}
	}
}

// TestOverviewChartsTheLastMinutes: a bar is the largest value of three seconds, and a value that never changed
// has none.
func TestOverviewChartsTheLastMinutes(t *testing.T) {
	t.Parallel()
	cfg, f := newConfig(tuitest.Healthy())
	h := tuitest.NewHarness(cfg, 120, 60)
	begin := core.Millis(1_800_000_000_000) // a whole multiple of a step
	for second, writes := range []uint64{0, 0, 0, 8, 2, 0, 4, 4, 0, 0} {
		f.Change(func(s *tuitest.ClusterState) {
			s.Status.At = begin + core.Millis(time.Duration(second)*time.Second/time.Millisecond)
			s.Status.Buckets = slices.Clone(s.Status.Buckets) // the last answer keeps its own
			s.Status.Buckets[0].LastSeq += writes
		})
		h.Tick()
	}
	screen := h.Screen()
	if want := fmt.Sprintf("writes/s  %-40s  now 0, at most 8", "▁▁█▅▁"); !strings.Contains(screen, want) {
		t.Errorf("no %q in\n%s", want, screen)
	}
	if !strings.Contains(screen, "now 249, at most 249") || strings.Contains(screen, " behind    ") {
		t.Error(screen)
	}
}
