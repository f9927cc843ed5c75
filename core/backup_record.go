package core

import "time"

// BackupRecord is what the nodes keep of scheduled backups. It is one record for the
// whole cluster; every change of it is a compare-and-swap.
type BackupRecord struct {
	Version    int                `json:"v"`
	Begun      Millis             `json:"begun"`                  // when a node first looked for its turn
	EveryMS    int64              `json:"every_ms"`               // the interval of the node that had the last turn
	Lease      *BackupLease       `json:"lease,omitempty"`        // nil: no node makes a backup
	Requested  Millis             `json:"requested,omitempty"`    // an admin wants one at once; 0: nobody does
	By         string             `json:"requested_by,omitempty"` // the admin
	Kept       []ScheduledBackup  `json:"kept,omitempty"`         // rehearsed ones, the latest first
	Failure    *BackupFailure     `json:"failure,omitempty"`      // of the tries after the latest one; nil: none failed
	Unfinished []UnfinishedBackup `json:"unfinished,omitempty"`   // what killed nodes may have left at their destinations
	Restore    *ClusterRestore    `json:"restore,omitempty"`      // the last one, while it was not ended; see Unfinished
}

// BackupRecordVersion is the form of a BackupRecord that this release writes.
const BackupRecordVersion = 1

// BackupLease names the node whose turn it is. The node changes Beat while it works; a
// lease whose Beat stands still is free again.
type BackupLease struct {
	Node  string `json:"node"`
	Token string `json:"token"` // of one turn
	Beat  int    `json:"beat"`
	Since Millis `json:"since"`
	Name  string `json:"name,omitempty"` // of the backup, before its file may be there
}

// UnfinishedBackup is a file that a node may have left, whose turn ended before the backup was
// rehearsed. It is removed, and never listed.
type UnfinishedBackup struct {
	Node string `json:"node"`
	Name string `json:"name"`
}

// ScheduledBackup is a backup that was read back, restored and compared.
type ScheduledBackup struct {
	Name      string          `json:"name"`   // of the file or the object
	Node      string          `json:"node"`   // that made it
	To        string          `json:"to"`     // where the node put it
	At        Millis          `json:"at"`     // before the first row was read
	Bytes     int64           `json:"bytes"`  // as it is stored
	SHA256    string          `json:"sha256"` // of the stored bytes, in hex
	Rows      int             `json:"rows"`   // of all tables
	Digest    string          `json:"digest"` // of the rows, whatever the bytes are
	Encrypted bool            `json:"encrypted"`
	Rehearsed Millis          `json:"rehearsed"` // when the rehearsal ended
	Rehearsal BackupRehearsal `json:"rehearsal"`
}

// BackupRehearsal says which bytes were restored and compared.
type BackupRehearsal string

// The rehearsals. Without an identity a node cannot decrypt what it has stored.
const (
	RehearsalStored BackupRehearsal = "stored bytes"      // read back, decrypted where they are encrypted, restored and compared
	RehearsalPlain  BackupRehearsal = "before encryption" // the bytes before encryption were; the stored ones were read back, and have the SHA-256 that was written
)

// BackupFailure is why the last try gave no backup.
type BackupFailure struct {
	At    Millis `json:"at"`
	Node  string `json:"node"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
	Count int    `json:"count"` // tries since the latest backup
}

// Last is the latest backup that was rehearsed; false where there is none.
func (r BackupRecord) Last() (ScheduledBackup, bool) {
	if len(r.Kept) == 0 {
		return ScheduledBackup{}, false
	}
	return r.Kept[0], true
}

// Age is how old the rows of the latest rehearsed backup are; without one it is the
// time since nodes look for their turn.
func (r BackupRecord) Age(now time.Time) time.Duration {
	since := r.Begun
	if last, ok := r.Last(); ok {
		since = last.At
	}
	return max(0, now.Sub(since.Time()))
}

// ClusterRestore is a backup that is being put into the buckets of a new cluster, or was when
// its node ended. The buckets are closed for its generation: as long as the authority is of an
// earlier one, nobody is admitted. The node changes Beat while it works.
type ClusterRestore struct {
	Node       string `json:"node"`
	Token      string `json:"token"` // of one try
	Beat       int    `json:"beat"`
	Since      Millis `json:"since"`
	By         string `json:"by"`         // the admin
	Generation uint64 `json:"generation"` // for which the buckets are closed
	Rows       int    `json:"rows"`       // of the backup
}

// Unfinished is true while the authority is not yet the one that the restore ends with.
func (r *ClusterRestore) Unfinished(a *Authority) bool {
	return r != nil && (a == nil || a.Generation < r.Generation)
}
