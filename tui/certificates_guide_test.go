package tui_test

import (
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/tuitest"
)

// TestGuideOfCertificatesTicks: steps become done while the guide is open, and a round goes on
// when it was left.
func TestGuideOfCertificatesTicks(t *testing.T) {
	t.Parallel()
	const oldCA, newCA = "aa01aa01aa01", "aa02aa02aa02"
	state := tuitest.Healthy()
	made := func(id string) core.CA {
		ago := map[string]time.Duration{oldCA: 365 * 24 * time.Hour, newCA: time.Hour}[id]
		return core.CA{ID: id, From: state.Status.At - core.Millis(ago/time.Millisecond)}
	}
	show := func(s *tuitest.ClusterState, signer string, cas ...core.CA) {
		s.Status.Nodes = append([]cluster.Node(nil), s.Status.Nodes...)
		for i := range s.Status.Nodes {
			info := *s.Status.Nodes[i].Info
			info.DiskComparison = &cluster.DiskComparison{Certificates: []cluster.Certificate{
				{Use: cluster.UseRoutes, File: "/r/node.crt", KeyFile: "/r/node.key", Signer: signer, From: 1, Until: state.Status.At * 2},
				{Use: cluster.UseAuthority, File: "/r/ca.crt", CAs: cas, From: 1, Until: state.Status.At * 2},
			}}
			s.Status.Nodes[i].Info = &info
		}
	}
	show(&state, oldCA, made(oldCA))
	h, f := newHarness(t, state)
	h.Press(":", "guide certificates", "enter")
	h.Tick()
	h.Tick()
	assertShows(t, h, "[>] Create the new CA of the routes", "unibusd cert ca --out route-ca-2")
	f.Change(func(s *tuitest.ClusterState) { show(s, oldCA, made(oldCA), made(newCA)) })
	h.Tick()
	assertShows(t, h, "[x] Create the new CA of the routes", "[>] Give n1")
	f.Change(func(s *tuitest.ClusterState) { show(s, newCA, made(newCA)) })
	h.Press("esc", ":", "guide certificates", "enter")
	h.Tick()
	assertShows(t, h, "Every node shows a route certificate of the new CA aa02aa02")
	h.Press("esc", ":", "guide certificates", "enter")
	h.Tick()
	assertShows(t, h, "Next: Create the new CA of the routes")
}
