package kv

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// ControlBucket holds the authority, the migration, the public cluster key and the record
// of scheduled backups.
const ControlBucket = "UNIBUS_control"

const (
	keyAuthority = "authority"
	keyMigration = "migration"
	keyCluster   = "cluster_key"
	keyBackups   = "backups"
)

// ControlConfig is what a Control needs.
type ControlConfig struct {
	Conn     *nats.Conn    // in the account that has JetStream; it is not closed
	Replicas int           // of the bucket
	Timeout  time.Duration // of one operation; 0: 2 s
	Budget   time.Duration // of Open; 0: 120 s
	Logger   *slog.Logger  // nil: none

	// LastSeq is that of the node's own replica of the bucket, false without one. nil: not known.
	LastSeq func() (uint64, bool)
}

// Control reads and writes the control records: the authority, and the state of
// the migration. Every change is a CAS.
type Control struct {
	bucketClient
	replicas int
	lastSeq  func() (uint64, bool)
}

// NewControl makes a Control; nothing is sent before Open.
func NewControl(c ControlConfig) *Control {
	k := &Control{replicas: c.Replicas, lastSeq: c.LastSeq}
	k.api.Conn, k.timeout, k.budget, k.log = c.Conn, c.Timeout, c.Budget, c.Logger
	k.setDefaults()
	return k
}

// Open creates the bucket or opens it, trying again within the budget.
func (k *Control) Open(ctx context.Context) error {
	if err := checkReplicas(k.replicas, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.budget)
	defer cancel()
	return k.ensure(ctx, ControlBucket, k.replicas)
}

// authorityValue is the authority as the bucket keeps it.
type authorityValue struct {
	V          int          `json:"v"`
	Backend    core.Backend `json:"backend"`
	Node       string       `json:"node"`
	Generation uint64       `json:"generation"`
}

func decodeAuthority(value []byte) (core.Authority, error) {
	var v authorityValue
	if err := json.Unmarshal(value, &v); err != nil || v.V != 1 {
		return core.Authority{}, core.Errorf(core.KindFailed, "the authority record cannot be read: it was written by another version").
			WithNext("run the same version of unibusd on every node")
	}
	return core.Authority{Backend: v.Backend, Node: v.Node, Generation: v.Generation}, nil
}

// Authority returns the authority and its revision. KindNotFound where there has
// never been one.
func (k *Control) Authority(ctx context.Context) (a core.Authority, rev uint64, err error) {
	e, err := k.read(ctx, keyAuthority, "authority record")
	if err != nil {
		return core.Authority{}, e.rev, err
	}
	a, err = decodeAuthority(e.value)
	return a, e.rev, err
}

// PutAuthority replaces the authority at the revision that was read, 0 where there
// was none, and returns the new one. KindConflict where another writer was faster;
// KindUnavailable where no answer came: the record may have changed or not.
func (k *Control) PutAuthority(ctx context.Context, a core.Authority, rev uint64) (newRev uint64, err error) {
	value, err := json.Marshal(authorityValue{1, a.Backend, a.Node, a.Generation})
	if err != nil {
		return 0, core.Errorf(core.KindFailed, "the authority record cannot be encoded: %w", err)
	}
	return k.cas(ctx, keyAuthority, value, rev)
}

// Migration returns the migration's own record and its revision. KindNotFound where there is none.
func (k *Control) Migration(ctx context.Context) (value []byte, rev uint64, err error) {
	e, err := k.read(ctx, keyMigration, "migration record")
	return e.value, e.rev, err
}

// PutMigration writes the migration's record as PutAuthority does the authority.
func (k *Control) PutMigration(ctx context.Context, value []byte, rev uint64) (newRev uint64, err error) {
	return k.cas(ctx, keyMigration, value, rev)
}

// Backups returns the record of scheduled backups and its revision, which is 0 where
// there is none.
func (k *Control) Backups(ctx context.Context) (value []byte, rev uint64, err error) {
	e, err := k.read(ctx, keyBackups, "record of backups")
	if core.KindOf(err) == core.KindNotFound {
		return nil, e.rev, nil
	}
	return e.value, e.rev, err
}

// PutBackups writes the record of scheduled backups as PutAuthority does the authority.
func (k *Control) PutBackups(ctx context.Context, value []byte, rev uint64) (newRev uint64, err error) {
	return k.cas(ctx, keyBackups, value, rev)
}

// ClusterKey returns the public half of the cluster's key. The private half is
// in no bucket: auditors read buckets. KindNotFound where the cluster has no key yet.
func (k *Control) ClusterKey(ctx context.Context) (string, error) {
	e, err := k.read(ctx, keyCluster, "cluster key")
	return string(e.value), err
}

// CreateClusterKey records the cluster's key, once for all. KindConflict where
// there is one, KindUnavailable where no answer came: it may be recorded or not.
func (k *Control) CreateClusterKey(ctx context.Context, public string) error {
	_, err := k.cas(ctx, keyCluster, []byte(public), 0)
	return err
}

func (k *Control) read(ctx context.Context, key, what string) (entry, error) {
	ctx, cancel, err := k.bound(ctx)
	if err != nil {
		return entry{}, err
	}
	defer cancel()
	e, ok, err := k.get(ctx, ControlBucket, key)
	if err == nil && !ok {
		err = core.Errorf(core.KindNotFound, "there is no %s", what)
	}
	return e, err
}

func (k *Control) cas(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	ctx, cancel, err := k.bound(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	return k.put(ctx, ControlBucket, message{key: key, value: value, expect: &rev})
}

// Close ends the use of the control records; it does not close the connection. Twice is harmless.
func (k *Control) Close() error {
	k.closed.Store(true)
	return nil
}
