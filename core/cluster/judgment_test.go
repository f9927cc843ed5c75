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

// drained puts nodes into maintenance.
func drained(v View, names ...string) View {
	for _, name := range names {
		v.Maintenance = append(v.Maintenance, core.Maintenance{Node: name, By: "ana", Since: ago(7 * time.Minute), Until: ago(-2 * time.Hour)})
	}
	return v
}

// handedOver has another node lead what a node leads.
func handedOver(v View, name string) View {
	for i := range v.Buckets {
		if v.Buckets[i].Leader == name {
			v.Buckets[i].Leader = "n2"
		}
	}
	return v
}

// turnOff has nodes answer without JetStream, as the observer would show it.
func turnOff(v View, names ...string) View {
	lost := lose(v, names...)
	for i := range lost.Nodes {
		if n := &lost.Nodes[i]; slices.Contains(names, n.Name) {
			n.Online, n.HeardMS, n.Off = true, 200, true
		}
	}
	return lost
}

// refusedRoutes are addresses at which no server listens.
func refusedRoutes(addrs ...string) []Route {
	var out []Route
	for _, a := range addrs {
		out = append(out, Route{Addr: a, Fault: core.FaultRefused, Detail: "connection refused"})
	}
	return out
}

func in(d time.Duration) core.Millis { return core.MillisOf(noon.Add(d)) }

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

// founding is a cluster that has never had a leader, without n3.
func founding(change func(*View)) View {
	v := lose(healthy(3, 3), "n3")
	v.Authority, v.Serving, v.Buckets, v.Meta = nil, Serving{Backend: core.BackendNone, Reason: "it waits"}, []Bucket{}, Meta{Size: 3, Needed: 2, Online: 2, Since: ago(time.Minute)}
	for i := range v.Nodes {
		v.Nodes[i].Info.Journal, v.Nodes[i].Info.Serving, v.Nodes[i].Info.Store, v.Nodes[i].Meta, v.Nodes[i].Leads = nil, v.Serving, core.BackendKV, "", nil
	}
	change(&v)
	return v
}

// fenced is a cluster of three that has lost n2 and n3, and refuses the named ones.
func fenced(names ...string) View {
	v := lose(healthy(3, 3), "n2", "n3")
	for _, name := range names {
		v.Nodes = slices.DeleteFunc(v.Nodes, func(n Node) bool { return n.Name == name })
		v.Removed = append(v.Removed, core.NodeChange{Name: name, State: core.NodeRemoved, By: "ana", At: ago(time.Minute)})
		v.Meta.OrphanPeers = append(v.Meta.OrphanPeers, name)
		v.Expected--
	}
	return v
}

func alone() View {
	v := View{Cluster: "demo", At: ago(0), From: "n1", Expected: 1, Buckets: []Bucket{}, Serving: Serving{Backend: core.BackendSQLite, File: "/var/lib/unibus/unibus.db"}}
	v.Nodes = []Node{{Name: "n1", Online: true, Info: &Info{Name: "n1", Version: "0.1.0", BusAuth: core.BusAuthOff, Listen: "127.0.0.1:4222", Loopback: true, Store: core.BackendSQLite, Serving: v.Serving}}}
	return v
}

// fileNeverOn is a cluster as a node sees it that never had the SQLite file.
func fileNeverOn(from string) func(*View) {
	return func(v *View) {
		v.From = from
		v.Serving = Serving{
			Backend: core.BackendNone, Reason: from + " has no control plane: /var/lib/unibus/unibus.db does not exist",
			Next: "connect to the node that has one. If no node has, make it on " + from + ", then restart unibusd there: `unibusd restore --from BACKUP --db /var/lib/unibus/unibus.db`, or with its first user `unibusd user add NKEY --db /var/lib/unibus/unibus.db`",
		}
	}
}

// newKV is a cluster with --store kv that has never had a leader.
func newKV() View {
	return with(healthy(3, 3), func(v *View) {
		v.Authority, v.Buckets = nil, []Bucket{}
		v.Meta.Leader, v.Meta.Leaders, v.Meta.Last, v.Meta.Since = "", nil, "", ago(50*time.Second)
		v.Serving = Serving{Backend: core.BackendNone, Reason: "n1 waits for a majority of the nodes, to read which store is in force", Next: "start the other nodes; `unibus-tui status` says which are missing"}
		for i := range v.Nodes {
			v.Nodes[i].Info.Store, v.Nodes[i].Info.Journal, v.Nodes[i].Info.Serving = core.BackendKV, nil, v.Serving
		}
	})
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
	views := slices.Concat(clusterViews(), backupViews())
	for _, c := range operatorCases() {
		views = append(views, judged{"operators: " + c.name, saying(c.each)})
	}
	return views
}

func clusterViews() []judged {
	return []judged{
		{"healthy, three nodes", healthy(3, 3)},
		{"healthy, five nodes at R5", healthy(5, 5)},
		{"healthy, five nodes at R3", healthy(5, 3)},
		{"healthy, moving", with(onSQLite(healthy(3, 3), true), func(v *View) { v.Moving = "verify" })},
		{"SQLite, internal buckets on three of five, one of them away", lose(withInternal(onSQLite(healthy(5, 3), true), 3), "n3")},
		{"an unknown server", with(healthy(3, 3), func(v *View) {
			v.Unknown = []UnknownServer{{Name: "ghostnode", ID: "IDghost", Since: ago(time.Minute)}}
		})},
		{"an unknown server, n3 away", with(lose(healthy(3, 3), "n3"), func(v *View) {
			v.Unknown = []UnknownServer{{Name: "ghostnode", ID: "IDghost", Since: ago(time.Minute)}}
		})},
		{"releases that do not work together", with(healthy(3, 3), func(v *View) {
			v.Nodes[2].Info.Version, v.Nodes[2].Info.Protocols = "4.0", core.Protocols{Newest: 4, Oldest: 3}
		})},
		{"an older node that cannot read users with an end", with(healthy(3, 3), func(v *View) {
			v.Nodes[0].Info.Protocols, v.Nodes[0].Info.UsersWithEnd = core.OwnProtocols(), 2
		})},
		{"a node runs twice", with(healthy(3, 3), func(v *View) {
			v.DuplicateNames = []DuplicateName{{Name: "n2", Runs: []Run{
				{ID: "A", Address: "203.0.113.2", Host: "beta", PID: 12, Listen: "0.0.0.0:4222", Started: ago(time.Hour)}, {ID: "B", Address: "203.0.113.9"}, {ID: "C"},
			}}}
		})},
		{"being founded, n3 never up", founding(func(v *View) {
			v.Nodes[2].HeardMS, v.Nodes[2].Info, v.Nodes[0].Info.Routes = -1, nil, refusedRoutes("n3.example.org:6222")
		})},
		{"being founded, n3 is cut off", founding(func(v *View) {
			v.Nodes[2].HeardMS, v.Nodes[2].Info = -1, nil
			v.Nodes[0].Info.Routes = []Route{{Addr: "n3.example.org:6222", Fault: core.FaultTimeout, Detail: "no reply within 3s"}}
		})},
		{"being founded, n1 is cut off from both", founding(func(v *View) {
			v.Nodes[1].HeardMS, v.Nodes[1].Info, v.Nodes[1].Online, v.Meta.Online = -1, nil, false, 1
			v.Nodes[2].HeardMS, v.Nodes[2].Info = -1, nil
			v.Nodes[0].Info.Routes = []Route{
				{Addr: "n2.example.org:6222", Fault: core.FaultTimeout, Detail: "no reply within 3s"},
				{Addr: "n3.example.org:6222", Fault: core.FaultTimeout, Detail: "no reply within 3s"},
			}
		})},
		{"being founded, n3 cannot be resolved", founding(func(v *View) {
			v.Nodes[2].HeardMS, v.Nodes[2].Info = -1, nil
			v.Nodes[0].Info.Routes = []Route{{Addr: "n3.example.org:6222", Fault: core.FaultUnresolved, Detail: "no such host"}}
		})},
		{"founded a moment ago, the third node just came", founding(func(v *View) {
			came := v.Nodes[1]
			came.Name = "n3"
			v.Nodes[2], v.Meta.Online, v.Meta.OnlineSince = came, 3, ago(time.Second)
		})},
		{"the majority came back a moment ago", with(lose(healthy(3, 3), "n3"), func(v *View) {
			v.Meta.Leader, v.Meta.Since, v.Meta.OnlineSince = "", ago(10*time.Minute), ago(2*time.Second)
		})},
		{"being founded, without a list of nodes", founding(func(v *View) { v.Nodes, v.Nodes[0].Info.Routes = v.Nodes[:2], refusedRoutes("203.0.113.3:6222") })},
		{"being founded, n3 has another cluster's name", founding(func(v *View) {
			v.Nodes[2].HeardMS = -1
			v.Nodes[0].Info.Routes = []Route{{Addr: "203.0.113.3:6222", Node: "n3", Fault: core.FaultForeign, Detail: core.OtherCluster + `"other" answers`}}
		})},
		{"being founded, n2 hangs and n3 was never up", founding(func(v *View) {
			v.Nodes = v.Nodes[:1]
			v.Nodes[0].Info.Routes = []Route{
				{Addr: "203.0.113.2:6222", Node: "n2", Fault: core.FaultHung, Detail: "connected, and no answer within 3s"},
				{Addr: "203.0.113.3:6222", Fault: core.FaultRefused, Detail: "connection refused"},
			}
		})},
		{"being founded, only n1", founding(func(v *View) {
			v.Nodes[1].HeardMS, v.Nodes[1].Info, v.Nodes[1].Online, v.Meta.Online = -1, nil, false, 1
			v.Nodes[2].HeardMS, v.Nodes[2].Info, v.Nodes[0].Info.Routes = -1, nil, refusedRoutes("10.0.0.2:6222", "10.0.0.3:6222")
		})},
		{"restarted without n3, before the first election", founding(func(v *View) { v.Nodes[2].HeardMS, v.KnowsStreams = -1, true })},
		{"a rescue, both lost nodes are fenced", fenced("n2", "n3")},
		{"a rescue, one of the lost nodes is fenced", fenced("n3")},
		{"a rescue that new members have kept", with(healthy(3, 3), func(v *View) { v.Meta.Needed, v.Meta.RescueUntil = 1, ago(-4*time.Minute) })},
		{"the last node was restarted after a rescue", with(fenced("n2", "n3"), func(v *View) {
			v.Meta = Meta{Size: 1, Needed: 1, Online: 1, NoRoute: true, Members: []string{"n1"}, Since: ago(time.Minute)}
		})},
		{"JetStream off on a full disk", turnOff(healthy(3, 3), "n3")},
		{"JetStream off on two nodes", turnOff(healthy(3, 3), "n2", "n3")},
		{"JetStream off on n2, n3 away", turnOff(lose(healthy(3, 3), "n3"), "n2")},
		{"JetStream off on n2 of five, n3 away", turnOff(lose(healthy(5, 5), "n3"), "n2")},
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
		{"nobody serves, the file of its node is missing", with(onSQLite(healthy(3, 3), true), func(v *View) {
			v.Serving = Serving{
				Backend: core.BackendNone, Reason: "the control plane is the SQLite file /var/lib/unibus/unibus.db of n1, and it does not exist",
				Next: "put it back, or make it from a backup: `unibusd restore --from BACKUP --db /var/lib/unibus/unibus.db`; n1 continues by itself",
			}
			v.Nodes[0].Info.Serving = v.Serving
		})},
		{"nobody serves, n1 had the file and is away", lose(with(onSQLite(healthy(3, 3), false), fileNeverOn("n2")), "n1")},
		{"nobody serves, n1 is away and was not heard", lose(with(onSQLite(healthy(3, 3), false), func(v *View) {
			fileNeverOn("n2")(v)
			v.Nodes[0].Info = nil
		}), "n1")},
		{"nobody serves, no node has a file", with(onSQLite(healthy(3, 3), false), func(v *View) {
			fileNeverOn("n1")(v)
			v.Nodes[0].Info.Serving = v.Serving
		})},
		{"new KV cluster, one node never heard", with(newKV(), func(v *View) { v.Nodes, v.Meta.Online = v.Nodes[:2], 2 })},
		{"new KV cluster, one node away", lose(newKV(), "n3")},
		{"new KV cluster, all there", with(newKV(), func(v *View) { v.Meta.Leader, v.Meta.Leaders = "n1", []string{"n1"} })},
		{"new KV cluster, electing for long", newKV()},
		{"SQLite file of a node that is not known", with(onSQLite(healthy(3, 3), true), func(v *View) { v.Serving.File, v.Nodes[0].Info.Serving.File = "", "" })},
		{"two nodes do not serve", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.Serving = Serving{Backend: core.BackendNone, Reason: "it is opening"}
			v.Nodes[2].Info.Serving = v.Nodes[1].Info.Serving
		})},
		{"nobody serves, two nodes had files and are away", lose(with(onSQLite(healthy(5, 3), false), func(v *View) {
			fileNeverOn("n3")(v)
			v.Nodes[1].Info.Serving = v.Nodes[0].Info.Serving
		}), "n1", "n2")},
		{"a bucket cannot be seen, n3 away", with(lose(healthy(3, 3), "n3"), func(v *View) { v.Buckets = v.Buckets[1:] })},
		{"n3 away, JetStream off on the others", with(lose(onSQLite(healthy(3, 3), true), "n3"), func(v *View) { v.Nodes[0].Off, v.Nodes[1].Off, v.Authority.Node = true, true, "n9" })},
		{"journal differs on SQLite", with(onSQLite(healthy(3, 3), true), func(v *View) { v.Nodes[1].Info.Journal = nil })},
		{"soak after a cutover", with(healthy(3, 3), func(v *View) { v.Soak = &Soak{Node: "n1", Since: ago(26 * time.Hour)} })},
		{"single node on KV", with(alone(), func(v *View) { v.Serving.Backend = core.BackendKV })},
		{"nodes of an older release without a record", with(onSQLite(healthy(3, 3), false), func(v *View) {
			v.Serving = Serving{}
			for i := range v.Nodes {
				v.Nodes[i].Info.Serving = Serving{}
			}
		})},
		{"two orphans", with(healthy(3, 3), func(v *View) {
			v.Meta.Size, v.Meta.Needed, v.Meta.OrphanPeers = 5, 3, []string{"peer cnrtt3eg", "peer yrzKKRBu"}
		})},
		{"JetStream has not started", with(healthy(3, 3), func(v *View) { v.Meta.Online, v.Meta.Leader, v.Meta.Leaders = 1, "", nil })},
		{"one node does not serve", with(healthy(3, 3), func(v *View) { v.Nodes[2].Info.Serving = Serving{Backend: core.BackendNone, Reason: "it is opening"} })},
		{"n3 away", lose(healthy(3, 3), "n3")},
		{"n3 in maintenance", drained(withInternal(healthy(3, 3), 3), "n3")},
		{"n1 in maintenance, not drained yet", drained(withInternal(healthy(3, 3), 3), "n1")},
		{"n3 in maintenance and stopped", drained(lose(handedOver(healthy(3, 3), "n3"), "n3"), "n3")},
		{"n3 in maintenance and stopped, a certificate ends soon", with(drained(lose(handedOver(healthy(3, 3), "n3"), "n3"), "n3"), func(v *View) { v.Nodes[1].Info.CertUntil = core.MillisOf(noon.Add(time.Hour)) })},
		{"n3 in maintenance and stopped, n2 away", drained(lose(healthy(5, 5), "n2", "n3"), "n3")},
		{"n2 and n3 stopped, n3 in maintenance", drained(lose(healthy(3, 3), "n2", "n3"), "n3")},
		{"the SQLite node in maintenance and stopped", drained(lose(onSQLite(healthy(3, 3), true), "n1"), "n1")},
		{"n3 away for an hour", with(lose(healthy(3, 3), "n3"), func(v *View) {
			v.Nodes[2].HeardMS = time.Hour.Milliseconds()
			for i := range v.Nodes {
				v.Nodes[i].Info.Hears, v.Nodes[i].Info.ListsNodes = []string{"n1", "n2"}, true
			}
			for i := range v.Buckets {
				v.Buckets[i].Leader = "n1"
			}
		})},
		{"n3 never heard of", with(lose(healthy(3, 3), "n3"), func(v *View) { v.Nodes = v.Nodes[:2] })},
		{"five nodes, one away", lose(healthy(5, 5), "n5")},
		{"five nodes, two away", lose(healthy(5, 5), "n4", "n5")},
		{"five nodes at R3, a replica away", lose(healthy(5, 3), "n2")},
		{"majority lost", lose(healthy(3, 3), "n2", "n3")},
		{"majority lost of five", lose(healthy(5, 5), "n2", "n3", "n4", "n5")},
		{"majority lost, never heard of", with(lose(healthy(3, 3), "n2", "n3"), func(v *View) { v.Nodes = v.Nodes[:1] })},
		{"nobody heard yet", with(healthy(3, 3), func(v *View) { v.At, v.Nodes, v.Buckets, v.Meta = 0, v.Nodes[:1], []Bucket{}, Meta{Size: 3, Needed: 2} })},
		{"electing", with(healthy(3, 3), func(v *View) { v.Meta.Leader, v.Meta.Leaders, v.Meta.Since = "", nil, ago(4*time.Second) })},
		{"electing, and no node serves", with(healthy(3, 3), func(v *View) {
			v.Meta.Leader, v.Meta.Leaders, v.Meta.Since = "", nil, ago(4*time.Second)
			v.Serving = Serving{Backend: core.BackendNone, Reason: "n1 waits for a majority of the nodes, to read which store is in force", Next: "start the other nodes; `unibus-tui status` says which are missing"}
			for i := range v.Nodes {
				v.Nodes[i].Info.Serving = v.Serving
			}
		})},
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
		{"audit without a leader", with(healthy(3, 3), func(v *View) {
			v.InternalBuckets = []Bucket{{Name: "UNIBUS_audit", Wanted: 3, Since: ago(time.Minute)}}
		})},
		{"audit is electing a leader", with(healthy(3, 3), func(v *View) {
			audit := v.Buckets[0]
			audit.Name, audit.Leader, audit.Since = "UNIBUS_audit", "", ago(2*time.Second)
			v.InternalBuckets = []Bucket{audit}
		})},
		{"nonces is being created", with(healthy(3, 3), func(v *View) {
			nonces := v.Buckets[0]
			nonces.Name, nonces.Leader, nonces.Since, nonces.Creating = "UNIBUS_nonces", "", ago(2*time.Second), true
			v.InternalBuckets = []Bucket{nonces}
		})},
		{"events without a leader", with(healthy(3, 3), func(v *View) {
			v.InternalBuckets = []Bucket{{Name: "UNIBUS_events", Wanted: 3, Since: ago(time.Minute)}}
		})},
		{"events is electing a leader", with(healthy(3, 3), func(v *View) {
			events := v.Buckets[0]
			events.Name, events.Leader, events.Since = "UNIBUS_events", "", ago(2*time.Second)
			v.InternalBuckets = []Bucket{events}
		})},
		{"events at one replica", with(withInternal(healthy(3, 3), 3), func(v *View) {
			v.InternalBuckets[2].Wanted, v.InternalBuckets[2].Replicas = 1, v.InternalBuckets[2].Replicas[:1]
			v.InternalBuckets[2].Leader = "n1"
		})},
		{"the record of sessions without a leader", with(healthy(3, 3), func(v *View) {
			v.InternalBuckets = append(v.InternalBuckets, Bucket{Name: core.LastSeenBucket, Wanted: 3, Since: ago(time.Minute)})
		})},
		{"the record of sessions with fewer replicas", with(healthy(5, 5), func(v *View) {
			v.InternalBuckets = append(v.InternalBuckets, Bucket{Name: core.LastSeenBucket, Wanted: 3, Leader: "n1", Replicas: v.Buckets[0].Replicas[:3]})
		})},
		{"the record of sessions deleted", with(healthy(3, 3), func(v *View) { v.Lost = []LostStream{{Name: core.LastSeenBucket, Created: 1, Since: 2}} })},
		{"events deleted", with(healthy(3, 3), func(v *View) { v.Lost = []LostStream{{Name: "UNIBUS_events", Created: 1, Since: 2}} })},
		{"events created again", with(healthy(3, 3), func(v *View) { v.Lost = []LostStream{{Name: "UNIBUS_events", Created: 1, Recreated: 2, Since: 2}} })},
		{"no TLS", with(healthy(3, 3), func(v *View) {
			for i := range v.Nodes {
				v.Nodes[i].Info.TLS = false
			}
		})},
		{"enforce on two of three", with(healthy(3, 3), func(v *View) { v.Nodes[0].Info.BusAuth = core.BusAuthSoft })},
		{"versions differ", with(healthy(3, 3), func(v *View) { v.Nodes[2].Info.Version = "0.2.0" })},
		{"certificate ends this month", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.CertUntil = core.MillisOf(noon.Add(29 * 24 * time.Hour)) })},
		{"a renewed certificate does not fit its key", withCertificates(
			Certificate{Use: UseClients, File: "/etc/unibus/bus.crt", From: ago(24 * time.Hour), Until: in(400 * 24 * time.Hour), Fault: "it does not belong to its key"})},
		{"a renewed certificate of a CA that is not in the bundle", withCertificates(Certificate{
			Use: UseRoutes, File: "/etc/unibus/node.crt", From: ago(24 * time.Hour), Until: in(400 * 24 * time.Hour),
			Fault: "no CA in --route-tls-ca has signed the route certificate /etc/unibus/node.crt: the peers would refuse it",
			Next:  "add the CA that signed it to --route-tls-ca, on every node: docs/operations/certificates.md has the order",
		})},
		{"a new cluster after a restart, a node of routes was never heard", founding(func(v *View) { v.Nodes, v.KnowsStreams = v.Nodes[:2], true })},
		{"certificate ends this week", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.CertUntil = core.MillisOf(noon.Add(7 * 24 * time.Hour)) })},
		{"certificate ended", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.CertUntil = ago(time.Hour) })},
		{"a bundle of CAs is damaged", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.FileFaults = []FileFault{{File: "/etc/unibus/route/ca.crt", Reason: "a certificate in /etc/unibus/route/ca.crt is damaged", Since: ago(time.Minute)}}
			v.Nodes[2].Info.FileFaults = []FileFault{{
				File: "/etc/unibus/route/routes.crl", Reason: "the list of revoked certificates /etc/unibus/route/routes.crl is not signed by the authority in /etc/unibus/route/ca.crt",
				Next: "replace /etc/unibus/route/routes.crl by the list of that authority, routes.crl beside its key; where it has revoked nothing, this makes one: `unibusd cert crl --ca DIR`",
			}}
		})},
		{"lazy writes", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.SyncWrites = false })},
		{"disk filling", with(healthy(3, 3), func(v *View) { v.Nodes[1].Disk = v.Nodes[1].DiskMax * 85 / 100 })},
		{"disk full", with(healthy(3, 3), func(v *View) { v.Nodes[1].Disk = v.Nodes[1].DiskMax * 96 / 100 })},
		{"journal differs", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.Journal = &core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1}
		})},
		{"journal differs while authority moves", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.Journal, v.Moving = nil, "cutover" })},
		{"cutover, seen last at its fence", switching("fence")},
		{"several at once", with(lose(healthy(3, 3), "n3"), func(v *View) { v.Nodes[1].Disk, v.Nodes[0].Info.SyncWrites = v.Nodes[1].DiskMax, false })},
		{"two nodes", healthy(2, 2)},
		{"a certificate of a day, six hours left", withCertificates(Certificate{Use: UseClients, File: "/etc/unibus/bus.crt", From: ago(18 * time.Hour), Until: in(6 * time.Hour)})},
		{"a certificate of a day, seven hours left", withCertificates(Certificate{Use: UseClients, File: "/etc/unibus/bus.crt", From: ago(17 * time.Hour), Until: in(7 * time.Hour)})},
		{"certificates of a day, near their end", withCertificates(
			Certificate{Use: UseClients, File: "/etc/unibus/bus.crt", From: ago(22 * time.Hour), Until: in(2 * time.Hour), Hosts: "bus.example.org,192.0.2.2"},
			Certificate{Use: UseRoutes, File: "/etc/unibus/node.crt", From: ago(23 * time.Hour), Until: in(time.Hour), Hosts: "n2.example.org"})},
		{"certificates ended", withCertificates(
			Certificate{Use: UseClients, File: "/etc/unibus/bus.crt", From: ago(25 * time.Hour), Until: ago(time.Hour)},
			Certificate{Use: UseRoutes, File: "/etc/unibus/node.crt", From: ago(25 * time.Hour), Until: ago(time.Hour)},
			Certificate{Use: UseAuthority, File: "/etc/unibus/ca.crt", From: ago(25 * time.Hour), Until: ago(time.Hour)})},
		{"a new certificate beside an old key", withCertificates(Certificate{
			Use: UseClients, File: "/etc/unibus/bus.crt", From: ago(800 * 24 * time.Hour), Until: in(3 * 24 * time.Hour),
			Fault: "the certificate /etc/unibus/bus.crt and the key /etc/unibus/bus.key do not belong together or are damaged",
		})},
		{"files away in a cluster", with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.DiskComparison = &DiskComparison{Files: everyFault()} })},
		{"damaged blocks", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.DiskComparison = &DiskComparison{Damaged: []DamagedBlocks{{Bucket: "UNIBUS_users", Records: 1, At: ago(time.Hour)}, {Bucket: "UNIBUS_room_keys", Records: 12, At: ago(time.Hour)}}}
			v.Nodes[2].Info.DiskComparison = blocksMissing(ago(time.Hour))
		})},
		{"files away on a single node", with(alone(), func(v *View) { v.Nodes[0].Info.DiskComparison = &DiskComparison{Files: everyFault()} })},
		{"disks low", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.DiskComparison = &DiskComparison{Disks: []Disk{{Path: "/var/lib/unibus", Free: 4 << 30, Total: 50 << 30, Files: 1e6, FreeFiles: 9e5}}}
			v.Nodes[2].Info.DiskComparison = &DiskComparison{Disks: []Disk{
				{Path: "/var/lib/unibus", Free: 900 << 20, Total: 40 << 30},
				{Path: "/srv/db", Free: 30 << 30, Total: 50 << 30, Files: 1e6, FreeFiles: 12},
			}}
		})},
		{"disks that take nothing", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.DiskComparison = &DiskComparison{Disks: []Disk{{Path: "/var/lib/unibus", Free: 0, Total: 50 << 30}}}
			v.Nodes[2].Info.DiskComparison = &DiskComparison{Disks: []Disk{{Path: "/var/lib/unibus", Free: 40 << 30, Total: 50 << 30, ReadOnly: true}}}
		})},
		{"a large disk, little of it free", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.DiskComparison = &DiskComparison{Disks: []Disk{{Path: "/var/lib/unibus", Free: 60 << 30, Total: 4000 << 30}}}
		})},
		{"settings that need a restart", with(healthy(3, 3), func(v *View) {
			v.Nodes[1].Info.DiskComparison = &DiskComparison{NeedRestart: []string{"tls-cert", "tls-key"}}
		})},
		{"clocks differ", with(healthy(3, 3), func(v *View) { v.Nodes[1].ClockMS, v.Nodes[2].ClockMS = 90_000, -7000 })},
		{"a node began empty just now", with(healthy(3, 3), func(v *View) {
			v.Nodes[0].Info.Renewed = map[string]core.Millis{"n2": ago(20 * time.Second)}
			v.Buckets[0].Replicas[1] = Replica{"n2", ReplicaBehind, 1204}
		})},
		{"a node began empty an hour ago", with(healthy(3, 3), func(v *View) { v.Nodes[2].Info.Renewed = map[string]core.Millis{"n2": ago(time.Hour)} })},
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
	fmt.Fprintf(b, "  may stop: %s\n\n", join(nodesThatMayStop(c.view)))
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
