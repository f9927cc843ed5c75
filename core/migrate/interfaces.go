package migrate

import (
	"context"
	"crypto/sha256"
	"iter"

	"unibus/core"
)

// rowSource yields the rows of one table in strict bytewise key order. An error
// ends the sequence. It must stay readable while the target is written.
type rowSource interface {
	Rows(ctx context.Context, t core.Table) iter.Seq2[core.Row, error]
}

// keyLookup yields the rows that have the given keys, in key order. Keys that do
// not exist are left out.
type keyLookup interface {
	RowsOf(ctx context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error]
}

// BackupReader is an opened backup, read only. Each state closes the one it opened.
type BackupReader interface {
	rowSource
	keyLookup
	Close() error
}

// SourceStore is the SQLite store that is migrated.
type SourceStore interface {
	rowSource
	changeTracker
	// Path is the absolute path of the file, Size its bytes, SchemaVersion its unfenced user_version.
	Path() string
	Size() int64
	SchemaVersion() int
	// Counts counts the rows without reading them all.
	Counts(ctx context.Context) (core.Counts, error)
	// Integrity checks the file and its foreign keys; the error says what is damaged.
	Integrity(ctx context.Context) error
	// Problems lists rows that cannot be converted, at most limit.
	Problems(ctx context.Context, limit int) ([]core.Problem, error)
	// Leftovers names the columns and tables that a migration does not take along.
	Leftovers(ctx context.Context) ([]core.Leftover, error)
	// OddTimes finds times that are probably not in milliseconds.
	OddTimes(ctx context.Context) ([]core.OddTimes, error)
	// Fence makes the file refuse every write, also by an older binary. Lift
	// undoes it. Both can be repeated.
	Fence(ctx context.Context) error
	Lift(ctx context.Context) error
	Fenced(ctx context.Context) (bool, error)
}

// changeTracker records the keys of rows that any process changes or removes in
// the file, so that the fence does not have to read whole tables.
type changeTracker interface {
	keyLookup
	// Track starts recording; if it has started already, it continues.
	Track(ctx context.Context) error
	// Untrack deletes the recorded keys and everything that records them, also
	// when parts are damaged. It can be repeated and then writes nothing.
	Untrack(ctx context.Context) error
	// Tracked reports whether the record is complete. Changed is only reliable then.
	Tracked(ctx context.Context) (bool, error)
	// Changed returns the recorded keys of a table, in order.
	Changed(ctx context.Context, t core.Table) ([]string, error)
}

// Target is the replicated store. Its Rows reads what the leader holds. Internal
// keys, which begin with "_", are never yielded.
type Target interface {
	rowSource
	Exporter
	// Prepare creates missing buckets, raises all to this number of replicas
	// (0 keeps the number), and returns once every replica is current.
	Prepare(ctx context.Context, replicas int) error
	// Shut closes the buckets to all other writers for a coming generation. They
	// open with the authority of that generation or a later one. It can be
	// repeated. KindConflict if a later generation holds the buckets.
	Shut(ctx context.Context, generation uint64) error
	// PutRows writes rows of one table, all or nothing; at most BatchRows of them.
	PutRows(ctx context.Context, rows []core.Row) (int, error)
	// DeleteKeys removes keys of one table, so that Rows no longer yields them.
	DeleteKeys(ctx context.Context, t core.Table, keys []string) (int, error)
	// BucketBytes estimates the bytes that the buckets take on one node.
	BucketBytes(ctx context.Context) (int64, error)
	// Nodes names the nodes that hold a replica of the table, in order. KindNotFound
	// if its bucket is proven to be missing; KindUnavailable if that is unknown.
	Nodes(ctx context.Context, t core.Table) ([]string, error)
	// ReplicaRows reads what one node holds on its own disk.
	ReplicaRows(ctx context.Context, t core.Table, node string) iter.Seq2[core.Row, error]
	// ReplicaDigest is the digest of ReplicaRows, computed faster than by yielding them.
	ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error)
	changeReader
}

// changeReader reads what was written to a table after a sequence of its stream,
// so that the fence does not have to read whole buckets.
type changeReader interface {
	// LastSequence is the last sequence of the table's leader, and the number of
	// keys that it keeps, including removed rows and internal keys.
	LastSequence(ctx context.Context, t core.Table) (sequence uint64, kept int, err error)
	// ReplicaChanges reads one node's replica ("": any) once it has what the leader
	// has. It returns the rows written after a sequence, in their present form; a
	// removed row has a nil value. internal counts all internal keys, and unchanged
	// the rows not written since, including removed ones. KindConflict if the
	// table's stream ends before the sequence.
	ReplicaChanges(ctx context.Context, t core.Table, node string, after uint64) (rows []core.Row, internal, unchanged int, err error)
	// OpenReplicaReader places a reader on a node's replica ahead of the fence.
	// Placing one takes longer than a fence may stand. Errors as of ReplicaChanges.
	OpenReplicaReader(ctx context.Context, t core.Table, node string, after uint64) (ReplicaReader, error)
}

// ReplicaReader answers ReplicaChanges for one replica and sequence. The counts
// may be as old as the reader.
type ReplicaReader interface {
	Changes(ctx context.Context) (rows []core.Row, internal, unchanged int, err error)
	Close()
}

// AuthorityRecord is the one record that names the store in force.
type AuthorityRecord interface {
	// Authority reads it with its revision. KindNotFound is a proven absence;
	// KindUnavailable if nothing is known.
	Authority(ctx context.Context) (core.Authority, uint64, error)
	// PutAuthority replaces revision rev (0: creates it). KindConflict if the
	// revision has changed; with any other error the outcome is unknown.
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
	Online       bool            // it answered the last request
	Version      string          // "" unknown
	File         string          // its SQLite file, "" for none
	Serving      core.Backend    // the store that it serves
	Journal      *core.Authority // the authority in its journal
	Ready        bool            // it has the target's rows in memory and serves at once after a cutover
	FreeBytes    *int64          // free space for its data directory; nil: unknown
	JetStreamOff bool            // JetStream has turned itself off, as it does when the disk is full
}

// Cluster is every configured node, the source included. Expected may be more
// than len(Peers): a node that never answered has no name.
type Cluster struct {
	Expected int
	Peers    []Peer
	Findings []core.Problem // what is wrong with the meta group and the existing buckets; elections pass
}

// RowDigest is a row of another node's file in the form that is compared: its key
// in the bucket, and the SHA-256 of its canonical value.
type RowDigest struct {
	Key    string
	SHA256 [sha256.Size]byte
}

// Host publishes the store that the node serves.
type Host interface {
	// Withdraw stops serving; callers are told the reason.
	Withdraw(reason *core.Error)
	// Serve publishes the store that the authority names. Before it publishes a
	// SQLite store, it clears Entry.FileNeverServed in the journal.
	Serve(ctx context.Context, a core.Authority) error
	// Adopt opens another SQLite file in place of the one that the node had.
	Adopt(ctx context.Context, path string) (SourceStore, error)
}
