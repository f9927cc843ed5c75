package migrate

import (
	"context"
	"crypto/sha256"
	"iter"
	"log/slog"
	"time"

	"unibus/core"
)

// RowSource hands out one table as rows in strict bytewise key order. An error
// ends the sequence. The sequence must stay readable while the target is written.
type RowSource interface {
	Rows(ctx context.Context, t core.Table) iter.Seq2[core.Row, error]
}

// BackupReader is an opened backup. It is read only, and closed when a state is done with it.
type BackupReader interface {
	RowSource
	Close() error
}

// SourceStore is the SQLite store that is moved.
type SourceStore interface {
	RowSource
	// Path is the absolute path of the file, Size its bytes, SchemaVersion its unfenced user_version.
	Path() string
	Size() int64
	SchemaVersion() int
	// Integrity checks the file and its foreign keys; the error says what is damaged.
	Integrity(ctx context.Context) error
	// Problems lists rows that cannot be converted, at most limit.
	Problems(ctx context.Context, limit int) ([]core.Problem, error)
	// FenceTimeout makes the file refuse every write, an older binary's too; Lift undoes it. Both may be repeated.
	Fence(ctx context.Context) error
	Lift(ctx context.Context) error
	Fenced(ctx context.Context) (bool, error)
}

// Target is the replicated store as the copier and the verifier see it. Rows
// reads what the leader holds; keys that begin with "_" are never handed out.
type Target interface {
	RowSource
	// Prepare makes the buckets where they are missing, raises them to replicas
	// (0: as they are) and returns once every replica is current.
	Prepare(ctx context.Context, replicas int) error
	// PutRows writes rows of one table, all or nothing; at most BatchRows of them.
	PutRows(ctx context.Context, rows []core.Row) (int, error)
	// DeleteKeys really removes keys of one table, so that they are no longer in Rows.
	DeleteKeys(ctx context.Context, t core.Table, keys []string) (int, error)
	// Nodes names the nodes that hold a replica of the table, in order. KindNotFound
	// where its bucket is proven not to be there; KindUnavailable where nobody can tell.
	Nodes(ctx context.Context, t core.Table) ([]string, error)
	// ReplicaRows reads what that very node holds on its own disk.
	ReplicaRows(ctx context.Context, t core.Table, node string) iter.Seq2[core.Row, error]
}

// Digester is a Target that sums up a replica faster than by handing out its rows.
type Digester interface {
	// ReplicaDigest is the digest of ReplicaRows.
	ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error)
}

// WriteGuard is a Target that can be closed to everybody else's writes (DESIGN
// section 6). A Target without it is written by nobody else.
type WriteGuard interface {
	// Shut closes it for a generation that is to come and lets this process alone
	// write, until the authority of that generation, or a later one, opens it. It
	// may be repeated. KindConflict where a later generation holds it.
	Shut(ctx context.Context, generation uint64) error
}

// SizeEstimator is a Target that knows how many bytes its rows take, about.
type SizeEstimator interface {
	BucketBytes(ctx context.Context) (int64, error)
}

// ChangeReader is a Target that knows what was written after a place in a table's
// history, so that the fence need not read everything again. A Target without it
// is compared as a whole while the fence stands.
type ChangeReader interface {
	// LastSequence is the place that the table has come to on its leader, and how many
	// keys it keeps, those of removed rows and of the mechanism included.
	LastSequence(ctx context.Context, t core.Table) (sequence uint64, kept int, err error)
	// ReplicaChanges reads from that very node ("": any), once it has what the
	// leader has, what was written after a place: the rows as they are now, nil
	// values for removed ones; how many keys of the mechanism are kept in all; and
	// how many rows are kept that were not written since, removed ones included.
	// KindConflict where the table has not come to that place.
	ReplicaChanges(ctx context.Context, t core.Table, node string, after uint64) (rows []core.Row, mechanism, older int, err error)
}

// ReplicaReaderOpener is a Historian that can be asked for the news of a replica at once,
// because somebody was sent there before. One without it is asked anew each time,
// which takes longer than a fence should.
type ReplicaReaderOpener interface {
	// OpenReplicaReader makes a post at a node's replica; errors as of ReplicaSince.
	OpenReplicaReader(ctx context.Context, t core.Table, node string, after uint64) (ReplicaReader, error)
}

// ReplicaReader is ReplicaSince for one replica and place; the counts may be as old as the post.
type ReplicaReader interface {
	Changes(ctx context.Context) (rows []core.Row, mechanism, older int, err error)
	Close()
}

// AuthorityRecord is the one record that says which store counts.
type AuthorityRecord interface {
	// Authority reads it with its revision. KindNotFound is a proven absence;
	// KindUnavailable where nothing is known.
	Authority(ctx context.Context) (core.Authority, uint64, error)
	// PutAuthority replaces revision rev (0: creates it). KindConflict where it
	// is another one by now; with any other error the outcome is unknown.
	PutAuthority(ctx context.Context, a core.Authority, rev uint64) (uint64, error)
}

// StatusRecord keeps the Status as JSON, so that every node can show it. The
// revisions and the kinds of error are those of AuthorityRecord.
type StatusRecord interface {
	Migration(ctx context.Context) ([]byte, uint64, error)
	PutMigration(ctx context.Context, status []byte, rev uint64) (uint64, error)
}

// Peer is one configured node as preflight sees it.
type Peer struct {
	Name         string
	Online       bool            // it answered just now
	Version      string          // "" unknown
	File         string          // the SQLite file it has, "" for none
	Serving      core.Backend    // what its holder publishes
	Journal      *core.Authority // the authority its journal holds
	Ready        bool            // it has the target's rows in memory: after a cutover it serves at once
	FreeBytes    *int64          // bytes that it can take in its data directory; nil: not known
	JetStreamOff bool            // JetStream has turned itself off there, as it does where a disk is full
}

// Cluster is every configured node, the source included. Expected may be more
// than len(Peers): a node that was never heard of has no name.
type Cluster struct {
	Expected int
	Peers    []Peer
	Findings []core.Problem // what is wrong with the meta group and the buckets that are there; elections pass
}

// RowDigest is a row of another node's file as it is compared: its key in the
// bucket, and the SHA-256 of its canonical value.
type RowDigest struct {
	Key    string
	SHA256 [sha256.Size]byte
}

// Host is the node's holder as a cutover uses it.
type Host interface {
	// Withdraw empties the holder; reason is what callers are told.
	Withdraw(reason *core.Error)
	// Serve publishes what the authority names: the SQLite store or the KV store.
	// Before a SQLite store is, Entry.Unserved is taken back in the journal.
	Serve(ctx context.Context, a core.Authority) error
	// Adopt opens another SQLite file, in the place of the one that the node had.
	Adopt(ctx context.Context, path string) (SourceStore, error)
}

// Config is what a Job needs. Node, Target, Authority, Record, Cluster, Host and
// Journal are required; Source, Backup and OpenCopy where the node has a SQLite file.
type Config struct {
	Node       string
	Source     SourceStore // nil: this node has no SQLite file, and Start is refused
	Backup     func(ctx context.Context, path string) (Backup, error)
	OpenBackup func(ctx context.Context, path string) (BackupReader, error)
	BackupDir  string // "": beside the source

	// CreateFile makes a new SQLite file for a rollback; nil: none is possible.
	CreateFile func(ctx context.Context, path string) (FileWriter, error)

	Target    Target
	Authority AuthorityRecord
	Record    StatusRecord
	Cluster   func(ctx context.Context) (Cluster, error)

	// PeerRows reads a table of the SQLite file that another node has, in strict
	// bytewise key order; an error ends it. KindUnavailable where that node does not
	// answer. nil: no such file can be read, and each of them stops a move.
	PeerRows func(ctx context.Context, node string, t core.Table) iter.Seq2[RowDigest, error]
	// PeerProblems lists rows of that file that cannot be converted, at most limit; nil: nobody is asked.
	PeerProblems func(ctx context.Context, node string, limit int) ([]core.Problem, error)

	Host          Host
	Journal       Journal
	FreeSpace     func(dir string) (int64, error) // bytes free for files in dir; nil: not checked
	OnRunning     func(bool)                      // told when work begins and ends, so that the process can spare memory meanwhile; may be nil
	OnStateChange func(Status)                    // called after every change of state, from the working goroutine; may be nil
	Now           func() time.Time                // nil: time.Now
	Log           *slog.Logger                    // nil: discarded
	Limits        Limits
}

// Limits bound what a move may take. A zero field takes the default beside it.
type Limits struct {
	BatchRows          int           // 1000: rows in one batch
	BatchBytes         int           // 512 KiB: keys and values in one batch
	FenceTimeout       time.Duration // 30 s: after that the fence lifts by itself
	RetryBudget        time.Duration // 30 s: how long a part that is unavailable is asked again
	JournalTimeout     time.Duration // 15 s: how long preflight waits for the nodes' journals
	PollInterval       time.Duration // 200 ms: between two questions
	RecordInterval     time.Duration // 250 ms: between two writes of the status record
	CheckpointInterval time.Duration // 100 ms: between two checkpoints of the copy in the journal
	ReplicaReads       int           // 3: how often a replica that differs is read before it is believed
	ReadyTimeout       time.Duration // 2 min: how long a verified move waits for nodes that read the rows into memory
	AdmissionLease     time.Duration // 3 s: how long a node may rely on what it proved before KV was closed
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
