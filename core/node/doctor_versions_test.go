package node

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/doctor"
)

// TestDoctorComparesVersions: the doctor says the same of versions as status.
func TestDoctorComparesVersions(t *testing.T) {
	t.Parallel()
	at := func(name, version string, p core.Protocols) cluster.Node {
		return cluster.Node{Name: name, Online: true, Info: &cluster.Info{Name: name, Version: version, Protocols: p}}
	}
	own := core.OwnProtocols()
	far := core.Protocols{Newest: own.Newest + 2, Oldest: own.Newest + 1}
	for name, c := range map[string]struct {
		nodes []cluster.Node
		state doctor.State
		text  string
	}{
		"the same":              {[]cluster.Node{at("n1", "v1", own), at("n2", "v1", own)}, doctor.OK, "all nodes run the same version"},
		"another that fits":     {[]cluster.Node{at("n1", "v1", own), at("n2", "v2", own)}, doctor.OK, "different versions: v1 on n1, v2 on n2"},
		"another that does not": {[]cluster.Node{at("n1", "v1", own), at("n2", "v9", far)}, doctor.Wrong, "n1 and n2 do not understand each other"},
		"one that is silent":    {[]cluster.Node{at("n1", "v1", own), {Name: "n2"}}, doctor.Unknown, "nothing is known of n2"},
	} {
		if got := versionsCheck(cluster.View{Clustered: true, Nodes: c.nodes}); got.State != c.state || !strings.Contains(got.Text, c.text) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
