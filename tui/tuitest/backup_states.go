package tuitest

import (
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// BackedUp is a healthy cluster whose nodes make a backup each day at 03:00.
func BackedUp() ClusterState {
	state := Healthy()
	for i := range state.Status.Nodes {
		state.Status.Nodes[i].Info.Backups = &cluster.BackupSchedule{To: "/var/backups/unibus", EveryMS: (24 * time.Hour).Milliseconds(), At: "03:00 UTC", Keep: 14, Encrypted: true}
	}
	at := core.MillisOf(time.Date(2026, 11, 22, 3, 0, 1, 0, time.UTC))
	state.Status.Backups = &core.BackupRecord{
		Version: core.BackupRecordVersion, Begun: ago(9 * 24 * time.Hour), EveryMS: (24 * time.Hour).Milliseconds(),
		Kept: []core.ScheduledBackup{{
			Name: "unibus-demo-20261122T030001.000Z-n2.db.age", Node: "n2", To: "/var/backups/unibus", At: at, Rehearsed: at + 4000, Bytes: 12_400_000,
			Rows: 5270, Encrypted: true, Rehearsal: core.RehearsalPlain,
		}},
	}
	return state
}

// BackupFailed is BackedUp two days later: the directory is full.
func BackupFailed() ClusterState {
	state := BackedUp()
	rec := state.Status.Backups
	rec.Kept[0].At -= core.Millis((48 * time.Hour).Milliseconds())
	rec.Kept[0].Rehearsed -= core.Millis((48 * time.Hour).Milliseconds())
	rec.Failure = &core.BackupFailure{
		At: ago(20 * time.Minute), Node: "n3", Count: 11,
		Text: "the directory /var/backups/unibus of backups has 3 MB free, and a backup may take 14 MB", Next: "free disk space there, or lower backup-keep",
	}
	return state
}
