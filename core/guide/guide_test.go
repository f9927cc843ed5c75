package guide

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
	"unibus/core/cluster"
	"unibus/core/doctor"
)

var update = flag.Bool("update", false, "write the golden file")

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) core.Millis { return core.MillisOf(noon.Add(-d)) }

// whole is a cluster of three nodes that have run for a day; n1 leads everything.
func whole() Facts {
	f := Facts{Since: before(time.Minute)}
	f.View = cluster.View{
		At: core.MillisOf(noon), From: "n1", Clustered: true, Expected: 3,
		Authority: &core.Authority{Backend: core.BackendKV, Generation: 2}, Serving: cluster.Serving{Backend: core.BackendKV},
		Meta: cluster.Meta{Leader: "n1", Leaders: []string{"n1"}, Size: 3, Online: 3, Needed: 2},
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		n := cluster.Node{
			Name: name, Online: true, ID: "id-" + name, Version: "1.0", Started: before(24 * time.Hour), Meta: "follower",
			Info: &cluster.Info{Name: name, Host: name + ".example.org", Unit: "unibusd", ListsNodes: true, Hears: []string{}, Serving: cluster.Serving{Backend: core.BackendKV}},
		}
		if name == "n1" {
			n.Meta, n.Leads = "leader", []string{"users"}
		}
		f.Nodes = append(f.Nodes, n)
	}
	for _, t := range core.Tables() {
		b := cluster.Bucket{Name: t.Bucket(), Wanted: 3, Leader: "n1"}
		for _, n := range f.Nodes {
			b.Replicas = append(b.Replicas, cluster.Replica{Node: n.Name, State: cluster.ReplicaCurrent})
		}
		f.Buckets = append(f.Buckets, b)
	}
	f.Judgment = cluster.Judgment{Verdict: cluster.Healthy}
	f.Proof = []doctor.Check{{Name: "replicas.UNIBUS_users", State: doctor.OK, Text: "equal"}}
	return f
}

// onSQLite has the control plane in a file of n1, and no buckets yet.
func onSQLite(f *Facts) {
	f.Authority, f.Serving = &core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 1}, cluster.Serving{Backend: core.BackendSQLite, File: "/var/lib/unibus/the file.db"}
	f.Buckets = nil
	for i := range f.Nodes {
		f.Nodes[i].Info.Serving = cluster.Serving{Backend: core.BackendNone}
	}
	f.Nodes[0].Info.Serving = f.Serving
}

func down(f *Facts, names ...string) {
	for _, name := range names {
		for i := range f.Nodes {
			if f.Nodes[i].Name == name {
				f.Nodes[i].Online, f.Nodes[i].HeardMS, f.Nodes[i].Meta, f.Nodes[i].Leads = false, 13_000, "", nil
				f.Meta.Online--
			}
		}
		for i := range f.Buckets {
			for j := range f.Buckets[i].Replicas {
				if f.Buckets[i].Replicas[j].Node == name {
					f.Buckets[i].Replicas[j].State = cluster.ReplicaOffline
				}
			}
		}
	}
	if f.Meta.Online < f.Meta.Needed {
		f.Meta.Leader = ""
	}
}

func restarted(f *Facts, node int, ago time.Duration) { f.Nodes[node].Started = before(ago) }

func leaderIs(f *Facts, name string) {
	f.Meta.Leader = name
	for i := range f.Nodes {
		f.Nodes[i].Meta, f.Nodes[i].Leads = "follower", nil
		if f.Nodes[i].Name == name {
			f.Nodes[i].Meta, f.Nodes[i].Leads = "leader", []string{"users"}
		}
	}
	for i := range f.Buckets {
		f.Buckets[i].Leader = name
	}
}

func renewed(f *Facts, name string, ago time.Duration) {
	f.Nodes[0].Info.Renewed = map[string]core.Millis{name: before(ago)}
}

// onDisk has every node hold every bucket, as the looking one knows them.
func onDisk(f *Facts) {
	for _, b := range f.Buckets {
		f.Streams = append(f.Streams, b.Name)
	}
	for i := range f.Nodes {
		f.Nodes[i].Info.Streams = f.Streams
		if !f.Nodes[i].Online {
			f.Nodes[i].HeardMS = (3 * time.Minute).Milliseconds()
		}
	}
}

// fence has the nodes that answer refuse lost ones, which still count.
func fence(names ...string) func(*Facts) {
	return func(f *Facts) {
		for _, name := range names {
			f.Nodes = slices.DeleteFunc(f.Nodes, func(n cluster.Node) bool { return n.Name == name })
			f.Removed = append(f.Removed, core.NodeChange{Name: name, State: core.NodeRemoved, By: "ana"})
			f.Meta.OrphanPeers = append(f.Meta.OrphanPeers, name)
		}
	}
}

// rescued has n1 lead the meta group by a lowered quorum.
func rescued(f *Facts) {
	f.Meta.Leader, f.Meta.Needed, f.Meta.OrphanPeers, f.Meta.RescueUntil = "n1", 1, []string{"n3"}, core.MillisOf(noon.Add(4*time.Minute+3*time.Second))
	for i := range f.Buckets {
		f.Buckets[i].Leader = ""
	}
}

// alone has the last lost node removed.
func alone(f *Facts) { f.Meta.Size, f.Meta.OrphanPeers, f.Meta.RescueUntil = 1, nil, 0 }

// elected has the buckets drop the replicas of removed nodes.
func elected(f *Facts) {
	for i := range f.Buckets {
		f.Buckets[i].Leader, f.Buckets[i].Replicas = "n1", f.Buckets[i].Replicas[:1]
	}
}

func finding(l cluster.Level) func(*Facts) {
	return func(f *Facts) { f.Findings = []cluster.Finding{{Level: l, About: "node.n3", Text: "n3 is odd."}} }
}

func settingDiffers(f *Facts) {
	differs := cluster.Finding{Level: cluster.Degraded, About: "config", Text: "--store differs between the nodes: kv on n2, sqlite on n1 and n3."}
	f.Findings = append([]cluster.Finding{differs}, f.Findings...)
}

func wrongReplica(f *Facts) {
	f.Proof = []doctor.Check{{Name: "replicas.UNIBUS_users", State: doctor.Wrong, Text: "the replica of UNIBUS_users on n2 differs from the others in 1 rows"}}
}

// operators gives every node the admin bo, and perhaps another one.
func operators(another bool) func(*Facts) {
	return func(f *Facts) {
		for i := range f.Nodes {
			o := &cluster.Operators{File: "/etc/unibus/unibusd.toml", List: []core.Operator{{Key: "UBO", Role: core.OperatorAdmin, Name: "bo"}, {Key: "UVI", Role: core.OperatorViewer, Name: "vi"}}}
			if another {
				o.List = append(o.List, core.Operator{Key: "UANA", Role: core.OperatorAdmin, Name: "ana"})
			}
			f.Nodes[i].Info.Operators = o
		}
	}
}

// removedOperator has bo removed, whom every configuration file still names.
func removedOperator(f *Facts) {
	for i := range f.Nodes {
		o := f.Nodes[i].Info.Operators
		o.Removed, o.Leftover, o.List = []core.RemovedOperator{{Operator: o.List[0]}}, o.List[:1], o.List[1:]
	}
}

// all does one after the other.
func all(changes ...func(*Facts)) func(*Facts) {
	return func(f *Facts) {
		for _, c := range changes {
			c(f)
		}
	}
}

type guideCase struct {
	guide, name string
	change      func(*Facts)
	outcome     Outcome
	text        string
}

func cases() []guideCase {
	done := func(f *Facts) {
		for i := range f.Nodes {
			restarted(f, i, 30*time.Second)
		}
	}
	args := func(names ...string) func(*Facts) { return func(f *Facts) { f.Args = names } }
	lose := func(names ...string) func(*Facts) { return func(f *Facts) { down(f, names...) } }
	disk := func(free int64) func(*Facts) {
		return func(f *Facts) {
			f.Nodes[1].Info.DiskComparison = &cluster.DiskComparison{Disks: []cluster.Disk{{Path: "/var/lib/unibus", Free: free, Total: 100 << 30}}}
		}
	}
	return append([]guideCase{
		{"restart", "a follower comes first", func(*Facts) {}, HasNext, "Next: Restart n2 (n2.example.org)."},
		{"restart", "a node that no service manager runs", func(f *Facts) { f.Nodes[1].Info.Unit = "" }, HasNext, "Next: Restart n2 (n2.example.org)."},
		{"restart", "the next follower", func(f *Facts) { restarted(f, 1, 30*time.Second) }, HasNext, "Next: Restart n3 (n3.example.org)."},
		{"restart", "the leader comes last, and hands over", func(f *Facts) { restarted(f, 1, 40*time.Second); restarted(f, 2, 20*time.Second) }, HasNext, "Next: Hand over what n1 leads."},
		{"restart", "the leader has handed over", func(f *Facts) {
			restarted(f, 1, 40*time.Second)
			restarted(f, 2, 20*time.Second)
			leaderIs(f, "n2")
		}, HasNext, "Next: Restart n1 (n1.example.org)."},
		{"restart", "the node that has the SQLite file", all(func(f *Facts) { restarted(f, 1, 40*time.Second); restarted(f, 2, 20*time.Second) }, onSQLite), IsUnsafe, "Stop here: If n1 stops, no node serves the control plane"},
		{"restart", "every node", done, AllDone, "Every node was restarted since 11:59:00 UTC"},
		{"restart", "a node is being restarted", lose("n2"), HasNext, "Wait: n2 does not answer."},
		{"restart", "two nodes are down", lose("n2", "n3"), IsUnsafe, "Stop here: 2 of 3 nodes do not answer."},
		{"restart", "a node was never heard", func(f *Facts) { f.Expected = 4 }, IsUnsafe, "1 of 4 nodes does not answer"},
		{"restart", "a replica is behind", func(f *Facts) { f.Buckets[2].Replicas[1].State = cluster.ReplicaBehind }, HasNext, "Wait: the replica of "},
		{"restart", "a bucket has no leader", func(f *Facts) { f.Buckets[1].Leader = "" }, HasNext, "has no leader"},
		{"restart", "a replica is not what its server says", all(func(f *Facts) { restarted(f, 1, 30*time.Second) }, wrongReplica), IsUnsafe, "Stop here: the replica of UNIBUS_users on n2 differs"},
		{"restart", "a replica cannot be read", func(f *Facts) { f.Proof = []doctor.Check{{State: doctor.Unknown, Text: "n2 is slow"}} }, HasNext, "Wait: n2 is slow."},
		{"restart", "status reports something", finding(cluster.Degraded), IsUnsafe, "Stop here: n3 is odd."},
		{"restart", "a setting differs while nodes are restarted with another value", all(func(f *Facts) { restarted(f, 1, 30*time.Second) }, settingDiffers), HasNext, "Next: Restart n3 (n3.example.org)."},
		{"restart", "a setting differs, and a node is odd", all(finding(cluster.Degraded), settingDiffers), IsUnsafe, "Stop here: n3 is odd."},
		{"restart", "status reports something about a start", all(finding(cluster.Critical), func(f *Facts) { restarted(f, 1, 30*time.Second) }), HasNext, "Wait: n3 is odd."},
		{"restart", "a note is no doubt", finding(cluster.Note), HasNext, "Next: Restart n2"},
		{"restart", "a clock that is ahead", func(f *Facts) {
			f.Nodes[1].Started, f.Nodes[1].ClockMS = core.MillisOf(noon.Add(time.Hour)), (2 * time.Hour).Milliseconds()
		}, HasNext, "Next: Restart n2"},
		{"restart", "SQLite on n2", func(f *Facts) { f.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n2", Generation: 1} }, IsUnsafe, "Stop here: If n2 stops, no node serves the control plane"},
		{"restart", "a node alone", func(f *Facts) { f.Clustered = false }, NotApplicable, "n1 runs alone"},
		{"restart", "nothing seen", func(f *Facts) { f.At = 0 }, HasNext, "Wait: n1 has heard no node yet."},

		{"quorum-lost", "a majority is down", lose("n2", "n3"), HasNext, "Next: Start n2 (n2.example.org)."},
		{"quorum-lost", "one is still down", lose("n3"), HasNext, "Next: Start n3 (n3.example.org)."},
		{"quorum-lost", "all are back", func(*Facts) {}, AllDone, "A majority answers, every node is there"},
		{"quorum-lost", "elections", func(f *Facts) { f.Meta.Leader = "" }, HasNext, "Wait: the meta group has no leader."},
		{"quorum-lost", "a node that was never heard", func(f *Facts) { f.Nodes, f.Meta.Online, f.Meta.Leader = f.Nodes[:1], 1, "" }, HasNext, "Next: Start 2 more nodes"},
		{"quorum-lost", "two came back empty", func(f *Facts) {
			f.Meta.Leader = ""
			f.Nodes[0].Info.Renewed = map[string]core.Millis{"n2": before(time.Minute), "n3": before(time.Minute)}
		}, IsUnsafe, "Stop here: n2, n3 came back with an empty data directory"},
		{"quorum-lost", "a replica is wrong at the end", wrongReplica, IsUnsafe, "on n2 differs"},

		{"rescue", "a majority is lost", all(lose("n2", "n3"), onDisk), HasNext, "Next: Fence n2 (n2.example.org)."},
		{"rescue", "a lost node's process hangs", all(lose("n2", "n3"), onDisk, func(f *Facts) {
			f.Nodes[0].Info.Routes = []cluster.Route{{Addr: "10.0.0.2:6222", Node: "n2", Fault: core.FaultHung}}
		}), HasNext, "Wait: n2 cannot be given up: n1 finds a process that listens at 10.0.0.2:6222."},
		{"rescue", "one of two is fenced", all(lose("n2", "n3"), onDisk, fence("n2")), HasNext, "Next: Fence n3 (n3.example.org)."},
		{"rescue", "both are fenced", all(lose("n2", "n3"), onDisk, fence("n2", "n3")), HasNext, "Next: Lower the quorum, and remove the fenced nodes."},
		{"rescue", "a lowered quorum, and one to be removed", all(lose("n2", "n3"), onDisk, fence("n2", "n3"), rescued), HasNext, "Next: Lower the quorum"},
		{"rescue", "the buckets elect", all(lose("n2", "n3"), onDisk, fence("n2", "n3"), rescued, alone), HasNext, "Wait: users has no leader."},
		{"rescue", "one replica of three", all(lose("n2", "n3"), onDisk, fence("n2", "n3"), rescued, alone, elected), HasNext, "Next: Every bucket has its replicas again."},
		{"rescue", "new nodes, and a lowered quorum", all(onDisk, func(f *Facts) { f.Meta.Needed, f.Meta.RescueUntil = 1, core.MillisOf(noon.Add(150*time.Second)) }), HasNext, "Wait: the lower quorum ends in 2m30s"},
		{"rescue", "everything is there", onDisk, AllDone, "A majority answers: there is nothing to rescue"},
		{"rescue", "everything is there again", all(onDisk, func(f *Facts) { f.Removed = []core.NodeChange{{Name: "n0", State: core.NodeRemoved}} }), AllDone, "no lost node counts any more"},
		{"rescue", "a majority is there", all(lose("n3"), onDisk), NotApplicable, "a majority answers, and can do without n3"},
		{"rescue", "a fenced node ran again", all(onDisk, fence("n0")), HasNext, "Next: Remove n0."},
		{"rescue", "a replica is wrong at the end", all(onDisk, wrongReplica), IsUnsafe, "on n2 differs"},
		{"rescue", "no replica is left", all(lose("n2", "n3"), onDisk, func(f *Facts) { f.Nodes[0].Info.Streams = f.Nodes[0].Info.Streams[1:] }), IsUnsafe, "none of them has a replica of users"},
		{"rescue", "a node of an earlier release", all(lose("n2", "n3"), onDisk, func(f *Facts) { f.Nodes[0].Info.Streams = nil }), HasNext, "Wait: n1 did not say which streams are on its disk"},
		{"rescue", "SQLite was on a lost node", all(lose("n2", "n3"), onDisk, func(f *Facts) { f.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n2"} }), IsUnsafe, "the SQLite file of n2"},
		{"rescue", "a migration was under way", all(lose("n2", "n3"), onDisk, func(f *Facts) { f.Moving = "copying" }), IsUnsafe, "a migration is running (copying)"},
		{"rescue", "n1 was started again", all(lose("n2", "n3"), onDisk, func(f *Facts) { f.Meta.NoRoute = true }), HasNext, "Next: Connect a new node to n1."},

		{"disk-wiped", "it is down", all(args("n3"), lose("n3")), HasNext, "Next: Start n3 (n3.example.org) with an empty data directory."},
		{"disk-wiped", "the others have no quorum", all(args("n3"), lose("n2", "n3")), IsUnsafe, "Stop here: 1 of the other nodes answer, and 2 are needed."},
		{"disk-wiped", "another replica is behind", all(args("n3"), lose("n3"), func(f *Facts) { f.Buckets[0].Replicas[1].State = cluster.ReplicaBehind }), IsUnsafe, "has 1 current replicas on the other nodes"},
		{"disk-wiped", "it came back with its data", args("n3"), HasNext, "Next: n3 began with an empty data directory."},
		{"disk-wiped", "it is being filled", all(args("n3"), func(f *Facts) { renewed(f, "n3", time.Minute); f.Buckets[0].Replicas[2].State = cluster.ReplicaBehind }), HasNext, "Wait: the replica of"},
		{"disk-wiped", "the server calls an empty replica current", all(args("n2"), func(f *Facts) { renewed(f, "n2", time.Minute) }, wrongReplica), IsUnsafe, "on n2 differs"},
		{"disk-wiped", "it is whole", all(args("n3"), func(f *Facts) { renewed(f, "n3", 10*time.Minute) }), AllDone, "n3 has every row again"},
		{"disk-wiped", "an unknown node", args("n9"), NotApplicable, "no node is named n9"},

		{"disk-full", "nearly full", disk(1 << 20), HasNext, "Next: Free disk space on n2 (n2.example.org)."},
		{"disk-full", "room, and JetStream is off", all(disk(50<<30), func(f *Facts) { f.Nodes[1].Off = true }), HasNext, "Next: Restart n2 (n2.example.org)."},
		{"disk-full", "all is well", disk(50 << 30), AllDone, "No disk is full"},

		{"node-lost", "it still runs", args("n3", "n4"), IsUnsafe, "Stop here: n3 cannot be removed: it is running."},
		{"node-lost", "the others have no quorum", all(args("n3", "n4"), lose("n2", "n3")), IsUnsafe, "the meta group has no quorum"},
		{"node-lost", "it is down", all(args("n3", "n4"), lose("n3")), HasNext, "Next: Replace n3 by n4."},
		{"node-lost", "the new one runs", all(args("n3", "n4"), lose("n3"), func(f *Facts) {
			f.Nodes = append(f.Nodes, cluster.Node{Name: "n4", Online: true, Info: &cluster.Info{Name: "n4", ListsNodes: true, Hears: []string{}}})
		}), HasNext, "Next: Replace n3 by n4."},
		{"node-lost", "it was removed", all(args("n0", "n3"), func(f *Facts) { f.Removed = []core.NodeChange{{Name: "n0", State: core.NodeRemoved}} }), AllDone, "n0 was removed, and n3 has every row"},
		{"node-lost", "it was removed, and the new one is down", all(args("n0", "n3"), lose("n3"), func(f *Facts) {
			f.Removed = []core.NodeChange{{Name: "n0", State: core.NodeRemoved}}
		}), HasNext, "Next: Replace n0 by n3."},
		{"operator-key-lost", "another admin is there", all(args("bo"), operators(true)), HasNext, "Next: Remove bo (UBO)."},
		{"operator-key-lost", "nobody else is an admin", all(args("UBO"), operators(false)), HasNext, "Next: Another admin can act."},
		{"operator-key-lost", "a node that is down", all(args("bo"), operators(true), lose("n3"), removedOperator), HasNext, "Wait: not known of: n3."},
		{"operator-key-lost", "two files name it", all(args("bo"), operators(true), removedOperator), HasNext, "Next: Take the key out of /etc/unibus/unibusd.toml on n1"},
		{"operator-key-lost", "no file names it", all(args("bo"), operators(true), removedOperator, func(f *Facts) {
			for i := range f.Nodes {
				f.Nodes[i].Info.Operators.Leftover = nil
			}
		}), AllDone, "Every node refuses the key of bo (UBO)"},
		{"operator-key-lost", "two have the name", all(args("bo"), operators(true), func(f *Facts) {
			f.Nodes[1].Info.Operators.List = append(f.Nodes[1].Info.Operators.List, core.Operator{Key: "UBOTWO", Role: core.OperatorViewer, Name: "bo"})
		}), NotApplicable, "several operators are named bo; give the key of the lost one: UBO, UBOTWO."},
		{"operator-key-lost", "an unknown operator", all(args("eve"), operators(true)), NotApplicable, "no node that answers has or had an operator eve."},
		{"node-lost", "an unknown node", args("n8", "n9"), NotApplicable, "no node is named n8"},
	}, slices.Concat(certificateCases(), userKeyCases())...)
}

// TestGuides: each situation has its next step; the golden file shows it as an operator reads it.
func TestGuides(t *testing.T) {
	t.Parallel()
	var golden strings.Builder
	for _, test := range cases() {
		f := whole()
		test.change(&f)
		g, err := Named(test.guide)
		if err != nil {
			t.Fatal(err)
		}
		r := g.Fill(f)
		if r.Outcome != test.outcome || !strings.Contains(r.Text, test.text) {
			t.Errorf("%s, %s: %s %q, want %s %q", test.guide, test.name, r.Outcome, r.Text, test.outcome, test.text)
		}
		fmt.Fprintf(&golden, "== %s: %s\n%s", test.guide, test.name, shown(r))
	}
	file := filepath.Join("testdata", "guides.txt")
	if *update {
		if err := os.WriteFile(file, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), golden.String()); d != "" {
		t.Errorf("(- expected, + found); go test ./core/guide -update writes it:\n%s", d)
	}
}

func shown(r Report) string {
	out := fmt.Sprintf("%s: %s\n", r.Outcome, r.Text)
	for _, s := range r.Steps {
		if s.State == Done || s.State == Later {
			out += fmt.Sprintf("  %-7s %s\n", s.State, s.Title)
			continue
		}
		out += fmt.Sprintf("  %-7s %s: %s\n    why: %s\n", s.State, s.Title, s.Seen, s.Why)
		if s.Do != "" {
			out += "    do: " + s.Do + "\n"
		}
		for _, line := range s.Type {
			out += "    type: " + line + "\n"
		}
	}
	return out
}

// TestNothingIsAdvisedBehindAnOpenStep: one step is open, and the steps behind it advise nothing
// yet.
func TestNothingIsAdvisedBehindAnOpenStep(t *testing.T) {
	t.Parallel()
	for _, test := range cases() {
		f := whole()
		test.change(&f)
		g, _ := Named(test.guide)
		open := 0
		for _, s := range g.Fill(f).Steps {
			switch {
			case s.State == Next || s.State == Waiting || s.State == Unsafe:
				open++
			case s.State == Done && open > 0, s.State == Later && open == 0:
				t.Errorf("%s, %s: %q is %s", test.guide, test.name, s.Title, s.State)
			}
		}
		if open > 1 {
			t.Errorf("%s, %s: %d steps are open", test.guide, test.name, open)
		}
	}
}

// TestReplicasAreComparedOnlyWhenItMatters: reading every replica is not for free.
func TestReplicasAreComparedOnlyWhenItMatters(t *testing.T) {
	t.Parallel()
	g, _ := Named("restart")
	f := whole()
	f.Proof = nil
	if r := g.Fill(f); !r.NeedsProof || r.Outcome != HasNext {
		t.Errorf("a whole cluster: %+v", r)
	}
	down(&f, "n2")
	if r := g.Fill(f); r.NeedsProof {
		t.Error("a node is away, and the replicas were to be compared")
	}
}

// TestUnknownGuide is refused in words.
func TestUnknownGuide(t *testing.T) {
	t.Parallel()
	if _, err := Named("frobnicate"); core.KindOf(err) != core.KindNotFound {
		t.Error(err)
	}
}
