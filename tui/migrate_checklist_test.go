package tui_test

import (
	"slices"
	"testing"

	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/tuitest"
)

// TestPageSixSaysWhatAMigrationNeeds: each missing condition, with its next step, before anything is
// started.
func TestPageSixSaysWhatAMigrationNeeds(t *testing.T) {
	t.Parallel()
	state := tuitest.OnSQLite()
	cfg, f := newConfig(state)
	h := tuitest.NewHarness(cfg, 120, 40)
	h.Press("6")
	assertShows(t, h, "● all 3 nodes answer", "● the meta group has a leader", "● every node has the same version", "● 31 GB free on n1", "? Whether every row can be converted",
		"WHAT IT WILL DO", "5 fence       refuses changes for about a second")
	f.Change(func(s *tuitest.ClusterState) {
		nodes := slices.Clone(s.Status.Nodes)
		nodes[1].Online = false
		info := *nodes[2].Info
		info.Version = "0.1.0"
		nodes[2].Info = &info
		s.Status.Nodes, s.Status.Meta = nodes, cluster.Meta{Size: 3, Online: 1, Needed: 2}
	})
	h.Tick()
	assertShows(t, h, "✖ n2 does not answer", "start it; every node must follow the migration", "✖ n3 runs version 0.1.0, n1 runs 0.2.0", "bring every node to the same version first", "✖ n2 does not answer. The meta group needs 2 of 3")
	assertHides(t, h, "all 3 nodes answer", "has a leader ", "the same version   ")
	f.Change(func(s *tuitest.ClusterState) {
		s.Migration = tuitest.PreflightFailed().Migration
		s.Migration.State = migrate.StateNone
	})
	h.Tick()
	assertShows(t, h, "The last check found what is above: D checks again.")
}
