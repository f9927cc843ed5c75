package demo

import (
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

func TestReady(t *testing.T) {
	t.Parallel()
	sqlite, kv := core.BackendSQLite, core.BackendKV
	for _, c := range []struct {
		name    string
		node    string
		serves  core.Backend
		online  bool
		leader  string
		legacy  string
		backend core.Backend // of the authority
		want    string       // "" ready
	}{
		{"source", "n1", sqlite, true, "n1", "/db", "", ""},
		{"source without store", "n1", "none", true, "n1", "/db", "", "serves no control plane yet"},
		{"other before the move", "n2", "none", true, "n1", "/db", "", ""},
		{"other before the move, SQLite named", "n2", "none", true, "n1", "/db", sqlite, ""},
		{"other after the move", "n2", "none", true, "n1", "/db", kv, "serves no control plane yet"},
		{"other after the move, open", "n2", kv, true, "n1", "/db", kv, ""},
		{"KV from the start", "n2", "", true, "n1", "", "", "serves no control plane yet"},
		{"no leader", "n1", sqlite, true, "", "/db", "", "no meta leader"},
		{"offline", "n1", sqlite, false, "n1", "/db", "", "not seen"},
		{"unknown", "n3", sqlite, true, "n1", "/db", "", "not seen"},
	} {
		var st admin.Status
		st.Meta.Leader = c.leader
		for _, n := range []string{"n1", "n2"} {
			st.Nodes = append(st.Nodes, cluster.Node{Name: n, Online: c.online, Info: &cluster.Info{Serving: cluster.Serving{Backend: c.serves}}})
		}
		if c.backend != "" {
			st.Authority = &core.Authority{Backend: c.backend}
		}
		err := checkStatus(st, Description{LegacyDB: c.legacy, Nodes: []Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}}}, c.node)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		t.Run(c.name, func(t *testing.T) { wantKind(t, err, core.KindUnavailable, c.want) })
	}
}

// TestReadinessNeedsEveryLeader: a bucket that still elects would make the first look at the
// cluster a degraded one.
func TestReadinessNeedsEveryLeader(t *testing.T) {
	t.Parallel()
	var st admin.Status
	st.Meta.Leader, st.Authority = "n1", &core.Authority{Backend: core.BackendKV}
	st.Nodes = []cluster.Node{{Name: "n1", Online: true, Info: &cluster.Info{Serving: cluster.Serving{Backend: core.BackendKV}}}}
	st.InternalBuckets = []cluster.Bucket{{Name: "UNIBUS_audit"}}
	wantKind(t, checkStatus(st, Description{Nodes: []Node{{Name: "n1"}}}, "n1"), core.KindUnavailable, "no leader of UNIBUS_audit")
	st.InternalBuckets[0].Leader = "n1"
	if err := checkStatus(st, Description{Nodes: []Node{{Name: "n1"}}}, "n1"); err != nil {
		t.Error(err)
	}
}
