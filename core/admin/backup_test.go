package admin

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/cluster"
)

// TestBackupNode: the node that is connected is asked, else one that serves the
// control plane; where none does, the error says why.
func TestBackupNode(t *testing.T) {
	t.Parallel()
	serves := func(b core.Backend) *cluster.Info { return &cluster.Info{Serving: cluster.Serving{Backend: b}} }
	others := []cluster.Node{
		{Name: "down", Info: serves(core.BackendKV)}, {Name: "new", Online: true},
		{Name: "empty", Online: true, Info: serves(core.BackendNone)}, {Name: "n3", Online: true, Info: serves(core.BackendKV)},
	}
	for want, v := range map[string]cluster.View{
		"n1": {From: "n1", Serving: cluster.Serving{Backend: core.BackendKV}, Nodes: others},
		"n3": {From: "n1", Serving: cluster.Serving{Backend: core.BackendNone}, Nodes: others},
		"":   {From: "n1", Serving: cluster.Serving{Backend: core.BackendNone, Reason: "nobody knows why"}, Nodes: others[:3]},
	} {
		got, err := servingNode(v)
		if got != want {
			t.Errorf("asked %q, want %q", got, want)
		}
		if want == "" && (core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "nobody knows why")) {
			t.Errorf("where no node serves: %v", err)
		}
	}
}
