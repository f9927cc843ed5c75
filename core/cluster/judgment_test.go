package cluster

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 22, 12, 9, 44, 0, time.UTC)

func ago(d time.Duration) core.Millis { return core.MillisOf(noon.Add(-d)) }

// healthy is a cluster of n nodes on KV at R replicas, seen from n1.
func healthy(n, replicas int) View {
	a := core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2}
	v := View{
		Cluster: "demo", At: ago(0), From: "n1", Clustered: true, Expected: n, Authority: &a,
		Serving: Serving{Backend: core.BackendKV},
		Meta:    Meta{Leader: "n1", Leaders: []string{"n1"}, Size: n, Online: n, Needed: n/2 + 1, Since: ago(3 * time.Hour), Last: "n1"},
	}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		v.Nodes = append(v.Nodes, Node{
			Name: name, Online: true, ID: "ID" + name, Version: "0.1.0", Meta: "follower", DiskMax: 40 << 30, Disk: 1 << 30,
			Info: &Info{
				Name: name, Version: "0.1.0", BusAuth: core.BusAuthEnforce, TLS: true, Listen: "203.0.113.1:4222", Store: core.BackendSQLite, Replicas: replicas,
				Serving: Serving{Backend: core.BackendKV}, Journal: &a, CertUntil: core.MillisOf(noon.Add(71 * 24 * time.Hour)), SyncWrites: true,
			},
		})
	}
	v.Nodes[0].Meta = "leader"
	for i, t := range core.Tables() {
		b := Bucket{Name: t.Bucket(), Wanted: replicas, Leader: fmt.Sprintf("n%d", i%replicas+1), Since: ago(time.Hour)}
		for r := range replicas {
			b.Replicas = append(b.Replicas, Replica{Node: fmt.Sprintf("n%d", r+1), State: ReplicaCurrent})
		}
		v.Buckets = append(v.Buckets, b)
		at := &v.Nodes[i%replicas]
		at.Leads = append(at.Leads, string(t))
	}
	return v
}

// withInternal adds the internal buckets, on the first nodes.
func withInternal(v View, replicas int) View {
	for _, name := range []string{"UNIBUS_audit", "UNIBUS_control", "UNIBUS_nonces"} {
		b := Bucket{Name: name, Wanted: replicas, Leader: "n2", Since: ago(time.Hour)}
		for r := range replicas {
			b.Replicas = append(b.Replicas, Replica{Node: fmt.Sprintf("n%d", r+1), State: ReplicaCurrent})
		}
		v.Mechanism = append(v.Mechanism, b)
	}
	return v
}

// lose makes nodes silent, as the observer would show it.
func lose(v View, names ...string) View {
	for i := range v.Nodes {
		if slices.Contains(names, v.Nodes[i].Name) {
			v.Nodes[i].Online, v.Nodes[i].HeardMS, v.Nodes[i].Meta, v.Nodes[i].Leads = false, 13000, "", nil
			v.Meta.Online--
		}
	}
	if slices.Contains(names, v.Meta.Leader) || v.Meta.Online < v.Meta.Needed {
		v.Meta.Leader, v.Meta.Leaders, v.Meta.Since = "", nil, ago(13*time.Second)
	}
	for _, buckets := range [][]Bucket{v.Buckets, v.Mechanism} {
		for i := range buckets {
			b := &buckets[i]
			for j := range b.Replicas {
				if slices.Contains(names, b.Replicas[j].Node) {
					b.Replicas[j].State = ReplicaOffline
				}
			}
			if slices.Contains(names, b.Leader) || b.liveReplicas() < b.needed() {
				b.Leader, b.Since = "", ago(13*time.Second)
			}
		}
	}
	return v
}

// onSQLite puts the control plane on n1's file; with a record, or by --store alone.
func onSQLite(v View, record bool) View {
	v.Authority = nil
	a := core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1}
	if record {
		v.Authority = &a
	}
	v.Serving = Serving{Backend: core.BackendSQLite, File: "/var/lib/unibus/unibus.db"}
	for i := range v.Nodes {
		info := v.Nodes[i].Info
		info.Serving, info.Journal = Serving{Backend: core.BackendNone, Reason: "the control plane is SQLite on n1"}, v.Authority
		if i == 0 {
			info.Serving = v.Serving
		}
	}
	return v
}

func alone() View {
	v := View{Cluster: "demo", At: ago(0), From: "n1", Expected: 1, Buckets: []Bucket{}, Serving: Serving{Backend: core.BackendSQLite, File: "/var/lib/unibus/unibus.db"}}
	v.Nodes = []Node{{Name: "n1", Online: true, Info: &Info{Name: "n1", Version: "0.1.0", BusAuth: core.BusAuthOff, Listen: "127.0.0.1:4222", Loopback: true, Store: core.BackendSQLite, Serving: v.Serving}}}
	return v
}

func with(v View, change func(*View)) View {
	change(&v)
	return v
}

type judged struct {
	name string
	view View
}

func judgedViews() []judged {
	return []judged{
		{"healthy, three nodes", healthy(3, 3)},
		{"healthy, five nodes at R5", healthy(5, 5)},
		{"healthy, five nodes at R3", healthy(5, 3)},
		{"healthy, moving", with(onSQLite(healthy(3, 3), true), func(v *View) { v.Moving = "verify" })},
		{"an unknown server", with(healthy(3, 3), func(v *View) {
			v.Unknown = []UnknownServer{{Name: "ghostnode", ID: "IDghost", Since: ago(time.Minute)}}
		})},
		{"an unknown server, n3 away", with(lose(healthy(3, 3), "n3"), func(v *View) {
			v.Unknown = []UnknownServer{{Name: "ghostnode", ID: "IDghost", Since: ago(time.Minute)}}
		})},
		{"JetStream off on a full disk", with(healthy(3, 3), func(v *View) { v.Nodes[2].Off, v.Meta.Online = true, 2 })},
		{"kv without a record", with(healthy(3, 3), func(v *View) {
			v.Authority = nil
			for i := range v.Nodes {
				v.Nodes[i].Info.Journal = nil
			}
		})},
		{"single node", alone()},
		{"single node, exposed", with(alone(), func(v *View) { v.Nodes[0].Info.Loopback, v.Nodes[0].Info.Listen = false, "0.0.0.0:4222" })},
		{"single node, no database", with(alone(), func(v *View) { v.Serving = Serving{Backend: core.BackendNone, Reason: "unibus.db is not a database"} })},
		{"cluster on SQLite, recorded", onSQLite(healthy(3, 3), true)},
		{"cluster on SQLite, no record, no buckets", with(onSQLite(healthy(3, 3), false), func(v *View) { v.Buckets = []Bucket{} })},
		{"cluster on SQLite, R1 buckets", onSQLite(healthy(3, 1), true)},
		{"cluster on SQLite, n3 away", lose(onSQLite(healthy(3, 3), true), "n3")},
		{"cluster on SQLite, its node away", lose(with(onSQLite(healthy(3, 3), true), func(v *View) { v.From, v.Serving = "n2", Serving{Backend: core.BackendNone} }), "n1")},
		{"cluster on SQLite, majority lost", with(lose(onSQLite(healthy(3, 3), true), "n2", "n3"), func(v *View) { v.Authority = nil })},
		{"two SQLite files", with(onSQLite(healthy(3, 3), false), func(v *View) { v.Nodes[1].Info.Serving.File = "/srv/unibus.db" })},
		{"SQLite beside KV", with(onSQLite(healthy(3, 3), false), func(v *View) { v.Nodes[1].Info.Serving = Serving{Backend: core.BackendKV} })},
		{"nobody serves", with(healthy(3, 3), func(v *View) {
			v.Serving = Serving{Backend: core.BackendNone, Reason: "the buckets cannot be read"}
			for i := range v.Nodes {
				v.Nodes[i].Info.Serving = v.Serving
			}
		})},
		{"one node does not serve", with(healthy(3, 3), func(v *View) { v.Nodes[2].Info.Serving = Serving{Backend: core.BackendNone, Reason: "it is opening"} })},
		{"n3 away", lose(healthy(3, 3), "n3")},
		{"n3 never heard of", with(lose(healthy(3, 3), "n3"), func(v *View) { v.Nodes = v.Nodes[:2] })},
		{"five nodes, one away", lose(healthy(5, 5), "n5")},
		{"five nodes, two away", lose(healthy(5, 5), "n4", "n5")},
		{"five nodes at R3, a replica away", lose(healthy(5, 3), "n2")},
		{"majority lost", lose(healthy(3, 3), "n2", "n3")},
		{"majority lost of five", lose(healthy(5, 5), "n2", "n3", "n4", "n5")},
		{"majority lost, never heard of", with(lose(healthy(3, 3), "n2", "n3"), func(v *View) { v.Nodes = v.Nodes[:1] })},
		{"nobody heard yet", with(healthy(3, 3), func(v *View) { v.At, v.Nodes, v.Buckets, v.Meta = 0, v.Nodes[:1], []Bucket{}, Meta{Size: 3, Needed: 2} })},
		{"electing", with(healthy(3, 3), func(v *View) { v.Meta.Leader, v.Meta.Leaders, v.Meta.Since = "", nil, ago(4*time.Second) })},
		{"no leader for long", with(healthy(3, 3), func(v *View) { v.Meta.Leader, v.Meta.Leaders, v.Meta.Since = "", nil, ago(50*time.Second) })},
		{"two leaders", with(healthy(3, 3), func(v *View) { v.Meta.Leaders = []string{"n1", "n3"} })},
		{"ghost", with(healthy(3, 3), func(v *View) { v.Meta.Size, v.Meta.Needed, v.Meta.OrphanPeers = 4, 3, []string{"peer cnrtt3eg"} })},
		{"a member of the meta group with a name", with(healthy(3, 3), func(v *View) { v.Meta.Size, v.Meta.Needed, v.Meta.OrphanPeers = 4, 3, []string{"n4"} })},
		{"a removal that is not complete", with(healthy(3, 3), func(v *View) {
			v.Meta.Size, v.Meta.Needed, v.Meta.OrphanPeers, v.Removed = 4, 3, []string{"n4"}, []core.NodeChange{{Name: "n4", State: core.NodeRemoved, By: "ana"}}
		})},
		{"a removed node that is back", with(healthy(3, 3), func(v *View) {
			v.Unknown, v.Removed = []UnknownServer{{Name: "n4"}}, []core.NodeChange{{Name: "n4", State: core.NodeRemoved, By: "ana"}}
		})},
		{"two nodes are left of three", with(healthy(3, 3), func(v *View) {
			v.Nodes, v.Expected, v.Meta.Size, v.Meta.Online = v.Nodes[:2], 2, 2, 2
			for i := range v.Buckets {
				v.Buckets[i].Replicas = v.Buckets[i].Replicas[:2]
			}
		})},
		{"replica behind", with(healthy(3, 3), func(v *View) { v.Buckets[0].Replicas[2] = Replica{"n3", ReplicaBehind, 1204} })},
		{"replica a little behind", with(healthy(3, 3), func(v *View) { v.Buckets[0].Replicas[2] = Replica{"n3", ReplicaBehind, 12} })},
		{"replica not reached", with(healthy(3, 3), func(v *View) { v.Buckets[0].Replicas[2].State = ReplicaOffline })},
		{"replica unknown", with(healthy(3, 3), func(v *View) { v.Buckets[0].Replicas[2].State = ReplicaUnknown })},
		{"replica on a ghost", with(healthy(3, 3), func(v *View) { v.Buckets[0].Replicas[2] = Replica{"peer cnrtt3eg", ReplicaOffline, 0} })},
		{"streams deleted on KV, n3 down", with(lose(healthy(3, 3), "n3"), func(v *View) {
			v.Buckets = v.Buckets[1:]
			v.Lost = []LostStream{{Name: "UNIBUS_audit", Created: 1, Since: 2}, {Name: core.TableUsers.Bucket(), Created: 1, Since: 2}}
		})},
		{"streams deleted on SQLite", with(onSQLite(healthy(3, 3), true), func(v *View) { v.Lost = []LostStream{{Name: "UNIBUS_control", Created: 1, Since: 2}} })},
		{"a node with a key of its own", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.ClusterKey, v.Nodes[1].Info.OwnKey = "CNEW", "COLD" })},
		{"a stream created again", with(onSQLite(healthy(3, 3), true), func(v *View) { v.Lost = []LostStream{{Name: "UNIBUS_audit", Created: 1, Recreated: 2, Since: 2}} })},
		{"bucket without a leader", with(healthy(3, 3), func(v *View) { v.Buckets[1].Leader, v.Buckets[1].Since = "", ago(time.Minute) })},
		{"buckets electing", with(healthy(3, 3), func(v *View) {
			for i := range v.Buckets {
				v.Buckets[i].Leader, v.Buckets[i].Since = "", ago(3*time.Second)
			}
		})},
		{"bucket without a leader, not in use", with(onSQLite(healthy(3, 3), true), func(v *View) { v.Buckets[1].Leader, v.Buckets[1].Since = "", ago(time.Minute) })},
		{"bucket absent under kv", with(healthy(3, 3), func(v *View) { v.Buckets = v.Buckets[1:] })},
		{"R1 under kv", healthy(3, 1)},
		{"R2 under kv", healthy(3, 2)},
		{"one bucket at R1", with(healthy(3, 3), func(v *View) {
			v.Buckets[0].Wanted, v.Buckets[0].Leader, v.Buckets[0].Replicas = 1, "n2", []Replica{{"n2", ReplicaCurrent, 0}}
		})},
		{"R1 under kv, its node away", lose(with(healthy(3, 1), func(v *View) { v.From = "n2" }), "n1")},
		{"being raised", with(healthy(3, 3), func(v *View) {
			v.Buckets[0].Replicas, v.Buckets[0].Waiting = v.Buckets[0].Replicas[:2], "waiting for peers to catch up"
		})},
		{"five nodes, internal buckets at three", withInternal(healthy(5, 5), 3)},
		{"five nodes, internal buckets at five", withInternal(healthy(5, 5), 5)},
		{"five nodes, internal buckets at three, one node away", lose(withInternal(healthy(5, 5), 3), "n1")},
		{"audit without a leader", with(healthy(3, 3), func(v *View) { v.Mechanism = []Bucket{{Name: "UNIBUS_audit", Wanted: 3, Since: ago(time.Minute)}} })},
		{"no TLS", with(healthy(3, 3), func(v *View) {
			for i := range v.Nodes {
				v.Nodes[i].Info.TLS = false
			}
		})},
		{"enforce on two of three", with(healthy(3, 3), func(v *View) { v.Nodes[0].Info.BusAuth = core.BusAuthSoft })},
		{"versions differ", with(healthy(3, 3), func(v *View) { v.Nodes[2].Info.Version = "0.2.0" })},
		{"certificate ends this month", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.CertUntil = core.MillisOf(noon.Add(29 * 24 * time.Hour)) })},
		{"certificate ends this week", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.CertUntil = core.MillisOf(noon.Add(7 * 24 * time.Hour)) })},
		{"certificate ended", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.CertUntil = ago(time.Hour) })},
		{"lazy writes", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.SyncWrites = false })},
		{"disk filling", with(healthy(3, 3), func(v *View) { v.Nodes[1].Disk = v.Nodes[1].DiskMax * 85 / 100 })},
		{"disk full", with(healthy(3, 3), func(v *View) { v.Nodes[1].Disk = v.Nodes[1].DiskMax * 96 / 100 })},
		{"journal differs", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.Journal = &core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1}
		})},
		{"journal differs while authority moves", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.Journal, v.Moving = nil, "cutover" })},
		{"several at once", with(lose(healthy(3, 3), "n3"), func(v *View) { v.Nodes[1].Disk, v.Nodes[0].Info.SyncWrites = v.Nodes[1].DiskMax, false })},
		{"two nodes", healthy(2, 2)},
		{"nothing at all", View{From: "n1", Clustered: true}},
	}
}

// TestJudge compares every verdict, its sentence and its findings with the golden file.
func TestJudge(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, c := range judgedViews() {
		writeJudgement(&b, c)
	}
	golden(t, "judge.txt", b.String())
}

func writeJudgement(b *strings.Builder, c judged) {
	j := Judge(c.view, noon)
	fmt.Fprintf(b, "== %s: %s\n%s\n", c.name, j.Verdict, j.Sentence)
	if j.Do != "" {
		fmt.Fprintf(b, "Do: %s.\n", j.Do)
	}
	for _, f := range j.Findings {
		fmt.Fprintf(b, "  %s %s: %s\n", f.Level, f.About, f.Text)
		if f.Next != "" {
			fmt.Fprintf(b, "    next: %s\n", f.Next)
		}
	}
	for _, n := range c.view.Nodes {
		fmt.Fprintf(b, "  - %s\n", Impact(c.view, n.Name))
	}
	fmt.Fprintf(b, "  may stop: %s\n\n", join(MayStop(c.view)))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", path, d)
	}
}

func TestJudgeOrder(t *testing.T) {
	t.Parallel()
	for _, c := range judgedViews() {
		j := Judge(c.view, noon)
		worst := Healthy
		for i, f := range j.Findings {
			if i > 0 && f.Level.rank() > j.Findings[i-1].Level.rank() {
				t.Errorf("%s: %q stands after a lesser finding", c.name, f.Text)
			}
			if f.Level != Note && f.Level.rank() > worst.rank() {
				worst = f.Level
			}
			if f.Text == "" || !strings.HasSuffix(f.Text, ".") || (f.Level != Note && f.Next == "") {
				t.Errorf("%s: a finding without a whole sentence or a next step: %+v", c.name, f)
			}
		}
		if j.Verdict != worst {
			t.Errorf("%s: verdict %s, worst finding %s", c.name, j.Verdict, worst)
		}
		if before := fmt.Sprint(c.view); before != fmt.Sprint(c.view) {
			t.Errorf("%s: Judge changed its View", c.name)
		}
	}
}

func TestImpactOfAStranger(t *testing.T) {
	t.Parallel()
	if got := Impact(healthy(3, 3), "n9"); got != "n9 is not known here." {
		t.Error(got)
	}
}
