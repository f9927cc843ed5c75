package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// fakeNetwork is several observers between which every path can be cut.
type fakeNetwork struct {
	now    time.Time
	names  []string
	nodes  map[string]*fakeNode
	cut    map[link]core.RouteFault // why no route can be opened
	down   map[string]core.RouteFault
	leader string
}

type fakeNode struct {
	net      *fakeNetwork
	name     string
	observer *Observer
}

func newFakeNetwork(t *testing.T, n int) *fakeNetwork {
	t.Helper()
	f := &fakeNetwork{now: noon, nodes: map[string]*fakeNode{}, cut: map[link]core.RouteFault{}, down: map[string]core.RouteFault{}, leader: "n2"}
	for i := range n {
		f.names = append(f.names, fmt.Sprintf("n%d", i+1))
	}
	for _, name := range f.names {
		node := &fakeNode{net: f, name: name}
		node.observer = New(Config{
			Name: name, Clustered: true, Expected: n, System: node, Local: kvFacts, Infos: node.infos, now: func() time.Time { return f.now },
		})
		f.nodes[name] = node
	}
	return f
}

// reaches are the nodes that answer a node, itself included.
func (n *fakeNode) reaches() []string {
	var out []string
	for _, other := range n.net.names {
		_, isCut := n.net.cut[linkOf(n.name, other)]
		_, isDown := n.net.down[other]
		if !isDown && !isCut {
			out = append(out, other)
		}
	}
	return out
}

// RequestMany implements Requester.
func (n *fakeNode) RequestMany(_ context.Context, subject string, _ []byte, each func([]byte) bool) error {
	for _, name := range n.reaches() {
		group := map[string]any{"leader": n.net.leader, "cluster_size": len(n.net.names), "quorum_needed": len(n.net.names)/2 + 1}
		reply := map[string]any{"server": map[string]any{"name": name, "id": "ID" + name}}
		switch subject {
		case subjectStats:
			reply["statsz"] = map[string]any{"start": noon.Add(-time.Hour), "jetstream": map[string]any{"meta": group}}
		case subjectStreams:
			reply["data"] = map[string]any{"meta_cluster": group, "account_details": n.net.streams(name)}
		}
		body, err := json.Marshal(reply)
		if err != nil {
			return err
		}
		if !each(body) {
			break
		}
	}
	return nil
}

// streams are the five buckets as a node reports them; the leader reaches whom it reaches.
func (f *fakeNetwork) streams(name string) []any {
	var streams []any
	for _, t := range core.Tables() {
		group := map[string]any{"leader": f.leader}
		if name == f.leader {
			var peers []any
			for _, other := range f.names {
				if other != name {
					peers = append(peers, map[string]any{"name": other, "current": true, "active": 1, "peer": "P" + other})
				}
			}
			group["replicas"], group["leader_since"] = peers, noon
		}
		streams = append(streams, map[string]any{
			"name": "KV_" + t.Bucket(), "created": noon, "config": map[string]any{"num_replicas": len(f.names)},
			"state": map[string]any{"messages": 1, "last_seq": 1}, "cluster": group,
		})
	}
	return []any{map[string]any{"name": "CONTROL", "stream_detail": streams}}
}

// infos is what the reached nodes say of themselves and of those that this one does not hear.
func (n *fakeNode) infos(context.Context) ([]Info, error) {
	hears := append(n.direct(), n.name)
	var out []Info
	for _, name := range n.reaches() {
		other := n.net.nodes[name]
		i := Info{Name: name, Serving: Serving{Backend: core.BackendKV}, SyncWrites: true, BusAuth: core.BusAuthEnforce, TLS: true, Journal: kvFacts().Authority, RouteCert: "/etc/unibus/route/node.crt", Replicas: len(n.net.names)}
		i.Hears, i.Routes, i.Relayed = other.direct(), other.routes(), other.observer.Relay(hears)
		out = append(out, i)
	}
	return out, nil
}

func (n *fakeNode) direct() []string {
	out := []string{}
	for _, other := range n.observer.View().Nodes {
		if other.Reachable() && other.Name != n.name {
			out = append(out, other.Name)
		}
	}
	return out
}

func (n *fakeNode) routes() []Route {
	var out []Route
	for i, other := range n.net.names {
		if other == n.name {
			continue
		}
		fault := n.net.down[other]
		if f, cut := n.net.cut[linkOf(n.name, other)]; cut {
			fault = f
		}
		r := Route{Addr: fmt.Sprintf("10.0.0.%d:6222", i+1), Node: other, Fault: fault, Since: core.MillisOf(noon.Add(-time.Minute))}
		if fault != "" {
			r.Detail = "because of " + string(fault)
		}
		out = append(out, r)
	}
	return out
}

// observe lets every node that is up observe once a second.
func (f *fakeNetwork) observe(t *testing.T, seconds int) {
	t.Helper()
	for range seconds {
		f.now = f.now.Add(time.Second)
		for _, name := range f.names {
			if _, down := f.down[name]; !down {
				f.nodes[name].observer.observe(t.Context())
			}
		}
	}
}

// findings are a node's, without the notes.
func (f *fakeNetwork) findings(name string) string {
	out := ""
	for _, finding := range Judge(f.nodes[name].observer.View(), f.now).Findings {
		if finding.Level != Note {
			out += fmt.Sprintf("%s %s: %s -> %s\n", finding.Level, finding.About, finding.Text, finding.Next)
		}
	}
	return out
}

// TestPartialCutIsTheSameForAll: one path is cut, both ends are up, and each node says so.
func TestPartialCutIsTheSameForAll(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 5} {
		f := newFakeNetwork(t, n)
		f.observe(t, 5)
		for _, name := range f.names {
			if got := f.findings(name); got != "" {
				t.Fatalf("%s of %d finds before the cut:\n%s", name, n, got)
			}
		}
		f.cut[link{"n1", "n3"}] = core.FaultTimeout
		f.observe(t, 10)
		want := f.findings("n2")
		if !strings.Contains(want, "n1 and n3 do not hear each other; both are up.") || strings.Count(want, "\n") != 1 {
			t.Errorf("n2 of %d finds:\n%s", n, want)
		}
		if n == 3 && !strings.Contains(want, "If n2 stops, the meta group has 1 of 3 and needs 2") {
			t.Errorf("n2 does not say that it may not stop:\n%s", want)
		}
		for _, name := range f.names {
			if got := f.findings(name); got != want {
				t.Errorf("%s of %d finds:\n%sn2 finds:\n%s", name, n, got, want)
			}
			v := f.nodes[name].observer.View()
			if v.Meta.Online != n || v.Meta.Leader != "n2" || len(v.silent()) > 0 || !current(v, n) {
				t.Errorf("%s of %d sees %+v, silent %v, buckets %+v", name, n, v.Meta, v.silent(), v.Buckets)
			}
		}
		clear(f.cut)
		f.observe(t, 3)
		for _, name := range f.names {
			if got := f.findings(name); got != "" {
				t.Errorf("%s of %d finds after the cut:\n%s", name, n, got)
			}
		}
	}
}

// TestLeaderOverACut: the leader is one of the ends, and both ends know that it leads.
func TestLeaderOverACut(t *testing.T) {
	t.Parallel()
	f := newFakeNetwork(t, 3)
	f.leader = "n3"
	f.observe(t, 5)
	f.cut[link{"n1", "n3"}] = core.FaultTimeout
	f.observe(t, 10)
	for _, name := range f.names {
		v := f.nodes[name].observer.View()
		if v.Meta.Leader != "n3" || len(v.Buckets) != 5 || v.Buckets[0].Leader != "n3" {
			t.Errorf("%s sees %+v and %+v", name, v.Meta, v.Buckets)
		}
	}
}

// TestNoNodeReachesAMajority: every path of five nodes but one is cut. All are up, and
// none can lead.
func TestNoNodeReachesAMajority(t *testing.T) {
	t.Parallel()
	f := newFakeNetwork(t, 5)
	f.observe(t, 5)
	for i, a := range f.names {
		for _, b := range f.names[i+1:] {
			if d := slices.Index(f.names, b) - i; d != 1 && d != 4 { // a ring is left: each reaches two
				f.cut[linkOf(a, b)] = core.FaultTimeout
			}
		}
	}
	f.observe(t, 10)
	if v := f.nodes["n1"].observer.View(); v.Meta.Online != 3 {
		t.Errorf("in a ring of five a node reaches three, not %d", v.Meta.Online)
	}
	f.cut[link{"n1", "n2"}], f.cut[link{"n3", "n4"}] = core.FaultTimeout, core.FaultTimeout
	f.observe(t, 10)
	for _, name := range f.names {
		if v := f.nodes[name].observer.View(); v.Meta.Online >= 3 && v.tolerableStops() > 0 {
			t.Errorf("%s says that %d may stop: %+v", name, v.tolerableStops(), v.Meta)
		}
	}
}

// TestEachCauseHasItsAdvice: both others say why the third is silent, and what to do.
func TestEachCauseHasItsAdvice(t *testing.T) {
	t.Parallel()
	for fault, want := range map[core.RouteFault]string{
		core.FaultRefused:     "unibusd does not run there (10.0.0.3:6222: connection refused)|start unibusd on n3",
		core.FaultHung:        "its process hangs (10.0.0.3:6222|restart unibusd on n3",
		core.FaultTimeout:     "its host does not reply to n1 and n2 (10.0.0.3:6222|route and firewall from n1 and n2 to 10.0.0.3:6222",
		core.FaultUnresolved:  "n1 and n2 cannot resolve 10.0.0.3:6222|/etc/hosts on n1 and n2",
		core.FaultCertificate: "its route certificate is refused by n1 and n2: because of certificate|renew /etc/unibus/route/node.crt on n3",
		core.FaultForeign:     "10.0.0.3:6222 is not answered by a node of this cluster|which program listens on 10.0.0.3:6222",
	} {
		f := newFakeNetwork(t, 3)
		f.observe(t, 5)
		f.down["n3"] = fault
		f.observe(t, 6)
		for _, name := range []string{"n1", "n2"} {
			got := f.findings(name)
			text, next, _ := strings.Cut(want, "|")
			if !strings.Contains(got, "n3 does not answer: "+text) || !strings.Contains(got, next) {
				t.Errorf("%s: %s says:\n%s", fault, name, got)
			}
			if fault != core.FaultRefused && strings.Contains(got, "-> start unibusd") {
				t.Errorf("%s: %s asks for a start:\n%s", fault, name, got)
			}
		}
	}
}

// TestANodeThatHearsNoOther looks at its own network first.
func TestANodeThatHearsNoOther(t *testing.T) {
	t.Parallel()
	f := newFakeNetwork(t, 3)
	f.observe(t, 5)
	f.cut[link{"n1", "n3"}], f.cut[link{"n2", "n3"}] = core.FaultTimeout, core.FaultTimeout
	f.observe(t, 10)
	if got := f.findings("n3"); !strings.Contains(got, "check the network of n3 first, because it hears no other node") {
		t.Errorf("n3 says:\n%s", got)
	}
	for _, name := range []string{"n1", "n2"} {
		if got := f.findings(name); !strings.Contains(got, "n3 does not answer: its host does not reply to n1 and n2") {
			t.Errorf("%s says:\n%s", name, got)
		}
	}
}

// TestStoppedInOrderIsNotUpByHearsay: a node that has said that it stops is silent at
// once, though another node heard it a moment before.
func TestStoppedInOrderIsNotUpByHearsay(t *testing.T) {
	t.Parallel()
	f := newFakeNetwork(t, 3)
	f.observe(t, 5)
	o := f.nodes["n1"].observer
	o.mem.round++
	o.mem.departed, o.mem.nodes["n3"].departedAt = map[string]bool{"n3": true}, f.now
	o.mem.hearInfo(Info{Name: "n2", Relayed: []Relayed{{HeardMS: 500, Stats: o.mem.nodes["n3"].stats}}}, f.now)
	if o.mem.findDeparted(f.now); !o.mem.departed["n3"] {
		t.Error("n3 counts as up again, because n2 heard it before it stopped")
	}
}

// TestReportOfBeforeTheSilence: a node that still heard the silent one when it reported
// its routes does not know why that one is silent now.
func TestReportOfBeforeTheSilence(t *testing.T) {
	t.Parallel()
	m := &New(Config{Name: "n1", Clustered: true, Expected: 3}).mem
	by, silent := m.node("n2"), m.node("n3")
	by.heard, by.infoAt = noon, noon
	open := Route{Addr: "10.0.0.3:6222", Node: "n3"}
	for hears, want := range map[string]string{"n3": "", "n1": "10.0.0.3:6222"} {
		by.info = &Info{Name: "n2", Hears: []string{hears}, Routes: []Route{open}}
		if got := m.unheard(silent, noon); len(got) != 1 || got[0].Addr != want {
			t.Errorf("n2 hears %s: %+v", hears, got)
		}
	}
}
