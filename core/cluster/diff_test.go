package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	base := func() View { return healthy(3, 3) }
	files := func(faults ...MisplacedFile) View {
		return with(base(), func(v *View) { v.Nodes[1].Info.DiskComparison = &DiskComparison{Files: faults} })
	}
	for _, c := range []struct {
		name string
		old  View
		next View
		want []string
	}{
		{"nothing", base(), base(), nil},
		{"the first look", View{}, base(), nil},
		{
			"a node is lost, and leads nothing", with(base(), func(v *View) { v.Buckets[2].Leader = "n1" }), with(lose(base(), "n3"), func(v *View) { v.Buckets[2].Leader = "n1" }),
			[]string{
				"degraded n3 does not answer", "degraded n3 its replica of users is offline", "degraded n3 its replica of rooms is offline", "degraded n3 its replica of members is offline",
				"degraded n3 its replica of room_keys is offline", "degraded n3 its replica of rooms_by_member is offline",
			},
		},
		{"a node is back", with(base(), func(v *View) { v.Nodes[2].Online, v.Nodes[2].HeardMS = false, 9000 }), base(), []string{"healthy n3 answers again"}},
		{"a node comes for the first time", with(base(), func(v *View) { v.Nodes = v.Nodes[:2] }), base(), []string{"healthy n3 answers for the first time"}},
		{"a node was only known by name", with(base(), func(v *View) { v.Nodes[2].Online, v.Nodes[2].HeardMS = false, -1 }), base(), []string{"healthy n3 answers for the first time"}},
		{"a node was restarted", base(), with(base(), func(v *View) { v.Nodes[1].ID = "other" }), []string{"note n2 was restarted"}},
		{"a node was replaced", base(), with(base(), func(v *View) { v.Nodes = v.Nodes[:2] }), []string{"note n3 is no longer part of the cluster"}},
		{"an unknown server comes", base(), with(base(), func(v *View) { v.Unknown = []UnknownServer{{Name: "g"}} }), []string{"critical g is connected as a node and is not one of this cluster"}},
		{"an unknown server goes", with(base(), func(v *View) { v.Unknown = []UnknownServer{{Name: "g"}} }), base(), []string{"note g is not one of this cluster's nodes, and does not answer any more"}},
		{"a file is removed", files(), files(MisplacedFile{Part: PartData, Path: "/d", State: FileMissing}), []string{"critical n2 On n2 the data directory /d was removed or moved while unibusd uses it: what n2 writes is lost when unibusd stops there."}},
		{"it is back", files(MisplacedFile{Part: PartData, Path: "/d", State: FileMissing}), files(), []string{"healthy n2 /d is in order again"}},
		{"JetStream goes off", base(), with(base(), func(v *View) { v.Nodes[1].Off = true }), []string{"degraded n2 has turned JetStream off, as it does where a disk is full"}},
		{"the meta leader changes", base(), with(base(), func(v *View) { v.Meta.Leader = "n2" }), []string{"healthy n2 leads the meta group, was n1"}},
		{"the meta leader is lost", base(), with(base(), func(v *View) { v.Meta.Leader = "" }), []string{"degraded meta has no leader; n1 was the last"}},
		{"a meta leader is elected", with(base(), func(v *View) { v.Meta.Leader = "" }), with(base(), func(v *View) { v.Meta.Leader = "n3" }), []string{"healthy n3 leads the meta group, was n1"}},
		{"the majority is lost", base(), with(base(), func(v *View) { v.Meta.Leader, v.Meta.Online = "", 1 }), []string{"critical meta lost its majority: 1 of 3 answer, 2 needed; n1 was the last leader"}},
		{"two leaders", base(), with(base(), func(v *View) { v.Meta.Leaders = []string{"n1", "n2"} }), []string{"critical meta two leaders: n1 and n2"}},
		{"a ghost", base(), with(base(), func(v *View) { v.Meta.OrphanPeers = []string{"peer X"} }), []string{"degraded meta peer X counts in the quorum and is not a configured node"}},
		{"a bucket's leader changes", with(base(), func(v *View) { v.Buckets[4].Leader = "n2" }), with(base(), func(v *View) { v.Buckets[4].Leader = "n3" }), []string{"healthy n3 leads rooms_by_member, was n2"}},
		{"a bucket's leader is lost", base(), with(base(), func(v *View) { v.Buckets[0].Leader = "" }), []string{"degraded UNIBUS_users has no leader; n1 was the last"}},
		{"a bucket is created", with(base(), func(v *View) { v.Buckets = v.Buckets[:4] }), base(), []string{"note UNIBUS_rooms_by_member created with 3 replicas"}},
		{"a bucket is gone", base(), with(base(), func(v *View) { v.Buckets = v.Buckets[:4] }), []string{"critical UNIBUS_rooms_by_member is not there any more"}},
		{
			"a bucket is raised", with(base(), func(v *View) { v.Buckets[0].Wanted, v.Buckets[0].Replicas = 1, v.Buckets[0].Replicas[:1] }), with(base(), func(v *View) { v.Buckets[0].Waiting = "catching up" }),
			[]string{"note UNIBUS_users scaled from 1 to 3 replicas", "note UNIBUS_users waits: catching up", "note n2 holds a replica of users", "note n3 holds a replica of users"},
		},
		{"a replica is taken away", base(), with(base(), func(v *View) { v.Buckets[0].Replicas = v.Buckets[0].Replicas[:2] }), []string{"note n3 holds no replica of users any more"}},
		{"a replica falls behind", base(), with(base(), func(v *View) { v.Buckets[0].Replicas[2] = Replica{"n3", ReplicaBehind, 500} }), []string{"note n3 its replica of users is 500 operations behind"}},
		{"a replica is a moment behind", base(), with(base(), func(v *View) { v.Buckets[0].Replicas[2] = Replica{"n3", ReplicaBehind, 5} }), nil},
		{"a replica catches up", with(base(), func(v *View) { v.Buckets[0].Replicas[2] = Replica{"n3", ReplicaOffline, 0} }), base(), []string{"healthy n3 its replica of users is current"}},
		{"authority moves", onSQLite(base(), true), with(base(), func(v *View) { v.Moving = "soak" }), []string{"healthy authority is kv, generation 2, was sqlite on n1, generation 1", "note migration is at soak", "note n1 serves kv, and served sqlite before"}},
		{"authority is first recorded", onSQLite(base(), false), onSQLite(base(), true), []string{"note authority is sqlite on n1, generation 1"}},
		{"authority cannot be read", base(), with(base(), func(v *View) { v.Authority = nil }), []string{"degraded authority cannot be read; it was kv, generation 2"}},
		{"a move cuts over, seen last at its fence", with(base(), func(v *View) { v.Moving = "fence" }), base(), []string{"note migration has cut over to KV"}},
		{"a move is aborted", with(onSQLite(base(), true), func(v *View) { v.Moving = "copy" }), onSQLite(base(), true), []string{"note migration has left copy"}},
		{"a move is rolled back", with(onSQLite(base(), true), func(v *View) { v.Moving = "rollback" }), onSQLite(base(), true), []string{"note migration was rolled back to SQLite"}},
		{"a rollback ends, the record is seen later", with(base(), func(v *View) { v.Moving = "rollback" }), base(), []string{"note migration has left rollback"}},
	} {
		var got []string
		for _, e := range Diff(c.old, c.next) {
			got = append(got, fmt.Sprintf("%s %s %s", e.Level, e.About, e.Text))
			if e.At != c.next.At {
				t.Errorf("%s: at %d", c.name, e.At)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	r := &Recorder{}
	if got := r.Since(0, 0); len(got) != 0 {
		t.Errorf("empty: %v", got)
	}
	before := core.MillisOf(time.Now())
	for i := range KeptEvents + 5 {
		r.Add(Note, "n1", fmt.Sprint(i+1))
	}
	for _, c := range []struct {
		seq         uint64
		limit       int
		first, last uint64
	}{{0, 0, 806, 1005}, {0, 5000, 6, 1005}, {1000, 0, 1001, 1005}, {1000, 2, 1004, 1005}, {0, 1, 1005, 1005}, {4000, 3, 1003, 1005}} {
		got := r.Since(c.seq, c.limit)
		if n := int(c.last - c.first + 1); len(got) != n || got[0].Seq != c.first || got[n-1].Seq != c.last || got[0].Text != fmt.Sprint(c.first) || got[0].At < before {
			t.Errorf("Since(%d, %d): %d events, %+v", c.seq, c.limit, len(got), got[0])
		}
	}
	if got := r.Since(1005, 0); len(got) != 0 {
		t.Errorf("nothing new: %v", got)
	}
}
