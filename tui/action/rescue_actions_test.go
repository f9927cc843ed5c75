package action_test

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/action"
	"unibus/tui/feed"
)

// lostMajority is a cluster of three that has lost n2, and n3 unless that is fenced already.
func lostMajority(fenced ...string) action.Input {
	v := cluster.View{At: 1795892541264, From: "n1", Clustered: true, Cluster: "demo", Serving: cluster.Serving{Backend: core.BackendKV}}
	v.Meta = cluster.Meta{Size: 3, Needed: 2, Online: 1, OrphanPeers: fenced}
	for _, t := range core.Tables() {
		v.Streams = append(v.Streams, t.Bucket())
	}
	for _, name := range fenced {
		v.Removed = append(v.Removed, core.NodeChange{Name: name, State: core.NodeRemoved, By: "ana"})
	}
	v.Nodes = []cluster.Node{{Name: "n1", Online: true, Info: &cluster.Info{
		Name: "n1", Store: core.BackendKV, ListsNodes: true, Hears: []string{}, Streams: v.Streams, Membership: v.Removed, Serving: v.Serving,
	}}}
	for _, name := range []string{"n2", "n3"}[:2-len(fenced)] {
		v.Nodes = append(v.Nodes, cluster.Node{Name: name, HeardMS: 60_000})
	}
	s := &feed.Snapshot{}
	s.Status.Value.View = v
	return action.Input{Snapshot: s}
}

// TestRescueIsTyped: a fence wants the name, and a rescue the number of nodes that are left and
// the cluster's name. Neither is offered before its time.
func TestRescueIsTyped(t *testing.T) {
	t.Parallel()
	fence, rescue := findAction(t, "node fence"), findAction(t, "node rescue")
	in := lostMajority()
	in.Selected = action.Selection{Kind: action.KindNode, IDs: []string{"n2"}}
	if why := fence.Unavailable(in); why != "" {
		t.Errorf("fencing n2: %s", why)
	}
	if f := fence.Dialog(in).Fields; len(f) != 1 || f[0].Check("n3") == nil || f[0].Check("n2") != nil {
		t.Errorf("a fence asks for %+v", f)
	}
	if why := rescue.Unavailable(in); !strings.Contains(why, "not fenced") {
		t.Errorf("a rescue before the fences: %q", why)
	}
	in = lostMajority("n2", "n3")
	if why := rescue.Unavailable(in); why != "" {
		t.Errorf("a rescue after the fences: %s", why)
	}
	fields := rescue.Dialog(in).Fields
	if len(fields) != 2 || fields[1].Check("demo") != nil || fields[1].Check("1") == nil {
		t.Fatalf("a rescue asks for %+v", fields)
	}
	for text, want := range map[string]bool{"1": true, "2": false, "0": false, "": false, "one": false} {
		if err := fields[0].Check(text); (err == nil) != want {
			t.Errorf("a quorum of %q: %v", text, err)
		}
	}
	if got := rescue.Dialog(in).Command([]string{"1", "demo"}); got != "unibusd node rescue --quorum 1" {
		t.Error(got)
	}
}
