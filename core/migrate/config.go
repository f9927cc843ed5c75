package migrate

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"unibus/core"
)

// Config is what a Job needs. Every field without a note is required. Source and
// Backup may be nil on a node without a SQLite file.
type Config struct {
	Node       string
	Source     SourceStore // nil: this node has no SQLite file, and Start is refused
	Backup     func(ctx context.Context, path string) (Backup, error)
	OpenBackup func(ctx context.Context, path string) (BackupReader, error)
	BackupDir  string // "": beside the source

	// CreateFile creates a new SQLite file for a rollback.
	CreateFile func(ctx context.Context, path string) (FileWriter, error)

	Target    Target
	Authority AuthorityRecord
	Record    StatusRecord
	Cluster   func(ctx context.Context) (Cluster, error)

	// PeerRows reads a table of another node's SQLite file in strict bytewise key
	// order; an error ends it. KindUnavailable if that node does not answer.
	PeerRows func(ctx context.Context, node string, t core.Table) iter.Seq2[RowDigest, error]
	// PeerProblems lists rows of that file that cannot be converted, at most limit.
	PeerProblems func(ctx context.Context, node string, limit int) ([]core.Problem, error)

	Host          Host
	Journal       Journal
	FreeSpace     func(dir string) (int64, error) // free bytes for files in dir
	OnRunning     func(bool)                      // called when work starts and ends; nil: not called
	OnStateChange func(Status)                    // called after every change of state, by the working goroutine; nil: not called
	Now           func() time.Time                // nil: time.Now
	Log           *slog.Logger                    // nil: discarded
	Limits        Limits
}

// Limits bound what a migration may take. A zero field takes the default beside it.
type Limits struct {
	BatchRows          int           // 1000: rows in one batch
	BatchBytes         int           // 512 KiB: keys and values in one batch
	FenceTimeout       time.Duration // 30 s: after that the fence lifts by itself
	RetryBudget        time.Duration // 30 s: how long an unavailable part is retried
	JournalTimeout     time.Duration // 15 s: how long preflight waits for the nodes' journals
	PollInterval       time.Duration // 200 ms: between two requests while something is awaited
	RecordInterval     time.Duration // 250 ms: between two writes of the status record
	CheckpointInterval time.Duration // 100 ms: between two checkpoints of the copy in the journal
	ReplicaReads       int           // 3: how often a replica that differs is read before the difference is reported
	ReadyTimeout       time.Duration // 2 min: how long a verified migration waits for nodes that load the rows into memory
	AdmissionLease     time.Duration // 3 s: how long a node may rely on a proof from before KV was closed
}

func (l Limits) withDefaults() Limits {
	l.BatchRows = orDefault(l.BatchRows, 1000)
	l.BatchBytes = orDefault(l.BatchBytes, 512<<10)
	l.FenceTimeout = orDefault(l.FenceTimeout, 30*time.Second)
	l.RetryBudget = orDefault(l.RetryBudget, 30*time.Second)
	l.JournalTimeout = orDefault(l.JournalTimeout, 15*time.Second)
	l.PollInterval = orDefault(l.PollInterval, 200*time.Millisecond)
	l.RecordInterval = orDefault(l.RecordInterval, 250*time.Millisecond)
	l.CheckpointInterval = orDefault(l.CheckpointInterval, 100*time.Millisecond)
	l.ReplicaReads = orDefault(l.ReplicaReads, 3)
	l.ReadyTimeout = orDefault(l.ReadyTimeout, 2*time.Minute)
	l.AdmissionLease = orDefault(l.AdmissionLease, 3*time.Second)
	return l
}

func orDefault[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}
