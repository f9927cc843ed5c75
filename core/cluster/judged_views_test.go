package cluster

import (
	"fmt"
	"slices"
	"time"
)

// withInternal adds the internal buckets, on the first nodes.
func withInternal(v View, replicas int) View {
	for _, name := range []string{"UNIBUS_audit", "UNIBUS_control", "UNIBUS_nonces"} {
		b := Bucket{Name: name, Wanted: replicas, Leader: "n2", Since: ago(time.Hour)}
		for r := range replicas {
			b.Replicas = append(b.Replicas, Replica{Node: fmt.Sprintf("n%d", r+1), State: ReplicaCurrent})
		}
		v.InternalBuckets = append(v.InternalBuckets, b)
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
	for _, buckets := range [][]Bucket{v.Buckets, v.InternalBuckets} {
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

// withCertificates gives n2 certificates in force.
func withCertificates(certs ...Certificate) View {
	return with(healthy(3, 3), func(v *View) { v.Nodes[1].Info.DiskComparison = &DiskComparison{Certificates: certs} })
}

// everyFault has each file of a node away.
func everyFault() []MisplacedFile {
	return []MisplacedFile{
		{Part: PartDatabase, Path: "/var/lib/unibus/unibus.db", State: FileMissing},
		{Part: PartData, Path: "/var/lib/unibus", State: FileMissing},
		{Part: PartStreams, Path: "/var/lib/unibus/jetstream", State: FileReplaced},
		{Part: PartAudit, Path: "/var/lib/unibus/audit.jsonl", State: FileReplaced},
		{Part: PartClusterKey, Path: "/var/lib/unibus/cluster.nk", State: FileMissing},
		{Part: PartOwner, Path: "/var/lib/unibus/cluster.json", State: FileMissing},
		{Part: PartLock, Path: "/var/lib/unibus/unibusd.lock", State: FileMissing},
		{Part: PartBackups, Path: "/var/lib/unibus/backups", State: FileMissing},
		{Part: PartLog, Path: "/var/log/unibus.log", State: FileMissing},
		{Part: PartAudit, Path: "/var/lib/unibus/audit.jsonl", State: FileCut},
		{Part: "of-a-newer-node", Path: "/etc/unibus/else", State: FileMissing},
	}
}
