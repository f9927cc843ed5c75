package tuitest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
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
	state := Healthy()
	state.Status.Authority = nil
	for i := range state.Status.Nodes {
		s := cluster.Serving{Backend: core.BackendNone, Reason: "the control plane is served by n1"}
		if i == 0 {
			s = cluster.Serving{Backend: core.BackendSQLite, File: "/var/lib/unibus/unibus.db"}
		}
		info := *state.Status.Nodes[i].Info
		info.Store, info.Serving = core.BackendSQLite, s
		state.Status.Nodes[i].Info = &info
	}
	for i := range state.Status.Buckets {
		state.Status.Buckets[i].Keys, state.Status.Buckets[i].Bytes, state.Status.Buckets[i].LastSeq = 0, 0, 0
	}
	state.Status.Serving = state.Status.Nodes[0].Info.Serving
	state.Status.Sentence = "All three nodes answer. The control plane is served from SQLite on n1 alone: users and rooms are not replicated."
	state.Status.Do = "Move it to KV: page 6."
	state.Status.Findings = []cluster.Finding{{Level: cluster.Note, About: "authority", Text: "The control plane is in one SQLite file on n1."}}
	return state
}

// Unreachable is a cluster before any of its nodes has answered.
func Unreachable() ClusterState {
	state := Healthy()
	state.Attempts = []admin.Attempt{
		{Server: "tls://10.0.0.1:4222", Why: "connection refused", Next: "check the address with --server, and that unibusd runs there", Since: Now.Add(-9 * time.Second)},
		{Server: "tls://10.0.0.2:4222", Why: "the certificate of 10.0.0.2:4222 expired on 2026-11-21 12:00:00 UTC", Next: "renew the node's certificate", Since: Now.Add(-8 * time.Second)},
		{Server: "tls://n3.example.org:4222"},
	}
	return state
}

// SeveralFiles is OnSQLite, but n2 serves another file at the same path.
func SeveralFiles() ClusterState {
	state := OnSQLite()
	info := *state.Status.Nodes[1].Info
	info.Serving = state.Status.Nodes[0].Info.Serving
	state.Status.Nodes[1].Info = &info
	state.Status.Sentence = "All three nodes answer. n1 and n2 serve each a SQLite file of their own."
	return state
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
		v.InternalBuckets = append(v.InternalBuckets, b)
	}
	state := ClusterState{Users: sampleUsers(), Events: sampleEvents(), Incidents: sampleIncidents(), Migration: migrate.Status{State: migrate.StateNone}, Rollout: enforcedRollout()}
	state.Audit = sampleAudit(state.Users)
	state.Rooms, state.Members, state.Keys = sampleRooms(state.Users)
	state.Status = admin.Status{View: v, Operator: core.Operator{Name: "ana", Role: core.OperatorAdmin}, Judgment: cluster.Judgment{
		Verdict: cluster.Healthy, Sentence: "All three nodes answer and every bucket has three current replicas. Any one node may stop.",
	}}
	return state
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
			Hears: othersOf(name), ListsNodes: true,
			DiskComparison: &cluster.DiskComparison{
				Certificates: []cluster.Certificate{{Use: cluster.UseClients, File: "/etc/unibus/node.crt", From: ago(754 * 24 * time.Hour), Until: core.MillisOf(Now.Add(71*24*time.Hour + time.Hour))}},
				Disks:        []cluster.Disk{{Path: "/var/lib/unibus", Free: 31e9, Total: 55e9, FreeFiles: 3e6, Files: 4e6}},
			},
		},
	}
}

func othersOf(name string) []string {
	return slices.DeleteFunc([]string{"n1", "n2", "n3"}, func(n string) bool { return n == name })
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
	state := Healthy()
	takeDown(&state, 2, 31*time.Second)
	state.Status.Meta.Online = 2
	state.Status.Verdict = cluster.Degraded
	state.Status.Sentence = "n3 does not answer. Two of three nodes are enough: everything can be read and written. Should another stop, nothing could be written."
	state.Status.Do = "Start unibusd on n3."
	state.Status.Findings = []cluster.Finding{
		{Level: cluster.Degraded, About: "node.n3", Text: "n3 was last heard 31 s ago.", Next: "Start unibusd on n3."},
		{Level: cluster.Degraded, About: "buckets", Text: "Every bucket has two of three replicas current.", Next: "They catch up by themselves once n3 is back."},
	}
	return state
}

// FullDisk is Healthy with JetStream off at n3, whose disk is full.
func FullDisk() ClusterState {
	state := Healthy()
	n := &state.Status.Nodes[2]
	info := *n.Info
	info.DiskComparison = &cluster.DiskComparison{Disks: []cluster.Disk{{Path: "/var/lib/unibus", Free: 0, Total: 55e9}}}
	n.Off, n.Meta, n.Leads, n.Info = true, "", nil, &info
	for i := range state.Status.Nodes {
		state.Status.Nodes[i].Info.Journal = state.Status.Authority
	}
	state.Status.Meta.Online = 2
	for _, buckets := range [][]cluster.Bucket{state.Status.Buckets, state.Status.InternalBuckets} {
		for i := range buckets {
			buckets[i].Replicas[2].State = cluster.ReplicaOffline
		}
	}
	state.Status.Judgment = cluster.Judge(state.Status.View, Now)
	return state
}

// NoQuorum is Healthy with n2 and n3 down.
func NoQuorum() ClusterState {
	state := Healthy()
	takeDown(&state, 1, 13*time.Second)
	takeDown(&state, 2, 31*time.Second)
	state.Status.Meta = cluster.Meta{Size: 3, Online: 1, Needed: 2, Since: ago(13 * time.Second), Last: "n1"}
	state.Status.Nodes[0].Meta = "follower"
	state.Status.Counts, state.Status.Authority = nil, nil
	state.Status.Verdict = cluster.Critical
	state.Status.Sentence = "n2 and n3 do not answer. The meta group needs 2 of 3 and has 1: writes fail, and new connections are refused (since 12:04:18 UTC). Sessions on n1 go on. Nothing is lost while the disks of n2 or n3 exist."
	state.Status.Do = "start unibusd on n2 or n3."
	state.Status.Findings = []cluster.Finding{
		{Level: cluster.Critical, About: "meta", Text: "The meta group has no leader: 1 of 3 online, 2 needed.", Next: "start unibusd on n2 or n3."},
		{Level: cluster.Critical, About: "node.n2", Text: "n2 was last heard 13 s ago."},
		{Level: cluster.Critical, About: "node.n3", Text: "n3 was last heard 31 s ago."},
	}
	for i := range state.Status.Buckets {
		state.Status.Buckets[i].Leader = ""
	}
	return state
}

// takeDown stops a node, and its replicas.
func takeDown(state *ClusterState, i int, since time.Duration) {
	n := &state.Status.Nodes[i]
	n.Online, n.HeardMS, n.Meta, n.Leads = false, since.Milliseconds(), "", nil
	for j := range state.Status.Nodes {
		info := *state.Status.Nodes[j].Info
		info.Hears = slices.DeleteFunc(slices.Clone(info.Hears), func(h string) bool { return h == n.Name })
		state.Status.Nodes[j].Info = &info
	}
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
	off(state.Status.Buckets)
	off(state.Status.InternalBuckets)
	state.Rollout.Nodes = maps.Clone(state.Rollout.Nodes)
	state.Rollout.Nodes[n.Name] = admin.RolloutNode{Unknown: true}
	state.Rollout.Safe, state.Rollout.Verdict = false, "not known: no answer from "+n.Name
	lose(state, n.Name, ago(since))
}

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}
