package tuitest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// Now is the time in every cluster state.
var Now = time.Date(2026, 11, 22, 12, 4, 31, 0, time.UTC)

func ago(d time.Duration) core.Millis { return core.MillisOf(Now.Add(-d)) }

// OnSQLite is the demo before the migration: SQLite on n1, empty buckets.
func OnSQLite() ClusterState {
	w := Healthy()
	w.Status.Authority = nil
	for i := range w.Status.Nodes {
		s := cluster.Serving{Backend: core.BackendNone, Reason: "the control plane is served by n1"}
		if i == 0 {
			s = cluster.Serving{Backend: core.BackendSQLite, File: "/var/lib/unibus/unibus.db"}
		}
		info := *w.Status.Nodes[i].Info
		info.Store, info.Serving = core.BackendSQLite, s
		w.Status.Nodes[i].Info = &info
	}
	for i := range w.Status.Buckets {
		w.Status.Buckets[i].Keys, w.Status.Buckets[i].Bytes, w.Status.Buckets[i].LastSeq = 0, 0, 0
	}
	w.Status.Serving = w.Status.Nodes[0].Info.Serving
	w.Status.Sentence = "All three nodes answer. The control plane is served from SQLite on n1 alone: users and rooms are not replicated."
	w.Status.Do = "Move it to KV: page 6."
	w.Status.Findings = []cluster.Finding{{Level: cluster.Note, About: "authority", Text: "The control plane is in one SQLite file on n1."}}
	return w
}

// SeveralFiles is OnSQLite, but n2 serves another file at the same path.
func SeveralFiles() ClusterState {
	w := OnSQLite()
	info := *w.Status.Nodes[1].Info
	info.Serving = w.Status.Nodes[0].Info.Serving
	w.Status.Nodes[1].Info = &info
	w.Status.Sentence = "All three nodes answer. n1 and n2 serve each a SQLite file of their own."
	return w
}

// Healthy is three nodes that serve from KV.
func Healthy() ClusterState {
	v := cluster.View{
		Cluster: "demo", At: ago(400 * time.Millisecond), From: "n1", Clustered: true, Expected: 3,
		Authority: &core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 2},
		Serving:   cluster.Serving{Backend: core.BackendKV},
		Meta:      cluster.Meta{Leader: "n1", Leaders: []string{"n1"}, Size: 3, Online: 3, Needed: 2, Since: ago(192 * time.Minute)},
		Counts:    &core.Counts{Users: 200, Rooms: 50, Members: 1004, Keys: 3012}, CountsAt: ago(2 * time.Second),
	}
	leads := [][]string{{"users", "rooms"}, {"members", "room_keys"}, {"rooms_by_member"}}
	for i, n := range []string{"n1", "n2", "n3"} {
		v.Nodes = append(v.Nodes, node(n, i, leads[i]))
	}
	for i, t := range core.Tables() {
		b := bucket("UNIBUS_"+string(t), []string{"n1", "n1", "n2", "n2", "n3"}[i])
		b.Keys = []int{200, 50, 1004, 3012, 1004}[i]
		b.Bytes, b.LastSeq = int64(b.Keys)*310, uint64(b.Keys)+17
		v.Buckets = append(v.Buckets, b)
	}
	for _, n := range []string{"UNIBUS_control", "UNIBUS_nonces"} {
		b := bucket(n, "n1")
		b.Keys, b.Bytes, b.LastSeq = 2, 1340, 9
		v.Mechanism = append(v.Mechanism, b)
	}
	w := ClusterState{Users: sampleUsers(), Events: sampleEvents(), Migration: migrate.Status{State: migrate.StateNone}, Rollout: enforcedRollout()}
	w.Audit = sampleAudit(w.Users)
	w.Rooms, w.Members, w.Keys = sampleRooms(w.Users)
	w.Status = admin.Status{View: v, Operator: core.Operator{Name: "ana", Role: core.OperatorAdmin}, Judgement: cluster.Judgement{
		Verdict: cluster.Healthy, Sentence: "All three nodes answer and every bucket has three current replicas. Any one node may stop.",
	}}
	return w
}

func node(name string, i int, leads []string) cluster.Node {
	meta := "follower"
	if i == 0 {
		meta = "leader"
	}
	return cluster.Node{
		Name: name, Online: true, HeardMS: int64(200 + 100*i), ID: "NDEMO" + name, Version: "2.15.2", Started: ago(200 * time.Minute),
		CPU: 2 - float64(i)/2, Memory: int64(61-2*i) * 1e6, Conns: 84 - i, Disk: 410e6, DiskMax: 40e9, Meta: meta, Leads: leads,
		Info: &cluster.Info{
			Name: name, Version: "0.2.0", PID: 4100 + i, BusAuth: core.BusAuthEnforce, TLS: true, Listen: fmt.Sprintf("127.0.0.1:%d", 4222+i),
			Loopback: true, Store: core.BackendKV, Replicas: 3, Serving: cluster.Serving{Backend: core.BackendKV},
			ProvenMS: []int64{400, -1, 200}[i], CertUntil: core.MillisOf(Now.Add(71*24*time.Hour + time.Hour)), SyncWrites: true,
		},
	}
}

func bucket(name, leader string) cluster.Bucket {
	b := cluster.Bucket{Name: name, Wanted: 3, Leader: leader, Since: ago(191 * time.Minute)}
	for _, n := range []string{"n1", "n2", "n3"} {
		b.Replicas = append(b.Replicas, cluster.Replica{Node: n, State: cluster.ReplicaCurrent})
	}
	return b
}

// Degraded is Healthy with n3 down.
func Degraded() ClusterState {
	w := Healthy()
	takeDown(&w, 2, 31*time.Second)
	w.Status.Meta.Online = 2
	w.Status.Verdict = cluster.Degraded
	w.Status.Sentence = "n3 does not answer. Two of three nodes are enough: everything can be read and written. Should another stop, nothing could be written."
	w.Status.Do = "Start unibusd on n3."
	w.Status.Findings = []cluster.Finding{
		{Level: cluster.Degraded, About: "node.n3", Text: "n3 was last heard 31 s ago.", Next: "Start unibusd on n3."},
		{Level: cluster.Degraded, About: "buckets", Text: "Every bucket has two of three replicas current.", Next: "They catch up by themselves once n3 is back."},
	}
	return w
}

// NoQuorum is Healthy with n2 and n3 down.
func NoQuorum() ClusterState {
	w := Healthy()
	takeDown(&w, 1, 13*time.Second)
	takeDown(&w, 2, 31*time.Second)
	w.Status.Meta = cluster.Meta{Size: 3, Online: 1, Needed: 2, Since: ago(13 * time.Second), Last: "n1"}
	w.Status.Nodes[0].Meta = "follower"
	w.Status.Counts, w.Status.Authority = nil, nil
	w.Status.Verdict = cluster.Critical
	w.Status.Sentence = "n2 and n3 do not answer. The meta group needs 2 of 3 and has 1: nothing can be written, and nobody new is admitted (since 12:04:18). Sessions on n1 go on. Nothing is lost while the disks of n2 or n3 exist."
	w.Status.Do = "start unibusd on n2 or n3."
	w.Status.Findings = []cluster.Finding{
		{Level: cluster.Critical, About: "meta", Text: "The meta group has no leader: 1 of 3 online, 2 needed.", Next: "start unibusd on n2 or n3."},
		{Level: cluster.Critical, About: "node.n2", Text: "n2 was last heard 13 s ago."},
		{Level: cluster.Critical, About: "node.n3", Text: "n3 was last heard 31 s ago."},
	}
	for i := range w.Status.Buckets {
		w.Status.Buckets[i].Leader = ""
	}
	return w
}

// takeDown stops a node, and its replicas.
func takeDown(w *ClusterState, i int, since time.Duration) {
	n := &w.Status.Nodes[i]
	n.Online, n.HeardMS, n.Meta, n.Leads = false, since.Milliseconds(), "", nil
	off := func(bs []cluster.Bucket) {
		for j := range bs {
			for k := range bs[j].Replicas {
				if bs[j].Replicas[k].Node == n.Name {
					bs[j].Replicas[k].State = cluster.ReplicaOffline
				}
			}
			if bs[j].Leader == n.Name {
				bs[j].Leader, bs[j].Since = "n2", ago(since)
			}
		}
	}
	off(w.Status.Buckets)
	off(w.Status.Mechanism)
	w.Rollout.Nodes = maps.Clone(w.Rollout.Nodes)
	w.Rollout.Nodes[n.Name] = admin.RolloutNode{Unknown: true}
	w.Rollout.Safe, w.Rollout.Verdict = false, "not known: no answer from "+n.Name
	w.Events = append(w.Events, cluster.Event{Seq: uint64(len(w.Events) + 1), At: ago(since), Level: cluster.Degraded, About: n.Name, Text: n.Name + " does not answer"})
}

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}
