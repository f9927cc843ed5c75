package cluster

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// withInternal adds the internal buckets, on the first nodes.
func withInternal(v View, replicas int) View {
	for _, name := range []string{"UNIBUS_audit", "UNIBUS_control", "UNIBUS_events", "UNIBUS_nonces"} {
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

// withBackups gives n2 a schedule of a backup a day; the latest is so old.
func withBackups(v View, age time.Duration, failure *core.BackupFailure) View {
	v.Nodes[1].Info.Backups = &BackupSchedule{To: "/mnt/backups", EveryMS: (24 * time.Hour).Milliseconds(), Keep: 14}
	v.Backups = &core.BackupRecord{
		Begun: ago(200 * time.Hour), EveryMS: (24 * time.Hour).Milliseconds(), Failure: failure,
		Kept: []core.ScheduledBackup{{Name: "unibus-demo-20261120T030000.000Z-n2.db", Node: "n2", To: "/mnt/backups", At: ago(age), Rehearsed: ago(age)}},
	}
	return v
}

// fullBackupDirectory is a failure of so many tries.
func fullBackupDirectory(tries int) *core.BackupFailure {
	return &core.BackupFailure{
		At: ago(3 * time.Minute), Node: "n2", Count: tries,
		Text: "the directory /mnt/backups of backups has 3 MB free, and a backup may take 14 MB", Next: "free disk space there, or lower backup-keep",
	}
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

// withRestore has ana fill the cluster with a backup, on n2.
func withRestore(v View) View {
	v.Authority = nil
	v.Serving = Serving{Backend: core.BackendNone, Reason: "a backup is being restored into this cluster", Next: "wait for its end: unibus-tui status"}
	v.Backups = &core.BackupRecord{Version: core.BackupRecordVersion, Restore: &core.ClusterRestore{Node: "n2", By: "ana", Since: ago(3 * time.Minute), Generation: 1, Rows: 1200}}
	return v
}

// switching is a cluster whose nodes serve no store for a moment, because the control plane moves to KV.
func switching(state string) View {
	v := onSQLite(healthy(3, 3), true)
	v.Moving, v.Serving = state, Serving{Backend: core.BackendNone, Reason: "the control plane is moving to kv", Next: "ask again in a few seconds"}
	for i := range v.Nodes {
		v.Nodes[i].Info.Serving = v.Serving
	}
	return v
}

// backupViews are of scheduled backups, and of one that is restored.
func backupViews() []judged {
	return []judged{
		{"backups in time", withBackups(healthy(3, 3), 26*time.Hour, nil)},
		{"a backup that failed once", withBackups(healthy(3, 3), 26*time.Hour, fullBackupDirectory(1))},
		{"backups late", withBackups(healthy(3, 3), 50*time.Hour, fullBackupDirectory(7))},
		{"a restore under way", withRestore(healthy(3, 3))},
		{"backups very late, no try", withBackups(healthy(3, 3), 98*time.Hour, nil)},
		{"no backup was ever made", with(withBackups(healthy(3, 3), 0, fullBackupDirectory(7)), func(v *View) { v.Backups.Kept = nil })},
		{"no backup was ever made, and no node with a schedule serves", with(withBackups(onSQLite(healthy(3, 3), true), 0, nil), func(v *View) {
			v.Backups.Kept = nil
			v.Nodes[1].Info.Serving = Serving{Backend: core.BackendNone}
		})},
		{"backups late, and the node that has the schedule was never heard", with(withBackups(healthy(3, 3), 50*time.Hour, nil), func(v *View) { v.Nodes[1].Info = nil })},
	}
}

// blocksMissing are those of a bucket, and of a stream whose disk has damage besides.
func blocksMissing(at core.Millis) *DiskComparison {
	return &DiskComparison{Damaged: []DamagedBlocks{
		{Bucket: "UNIBUS_users", Missing: 1, At: at},
		{Bucket: "UNIBUS_events", Records: 1, Missing: 2, At: at},
	}}
}
