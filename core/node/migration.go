package node

import (
	"context"
	"encoding/json"
	"iter"
	"sync/atomic"
	"syscall"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/kv"
)

// migrationConfig plugs this node's parts into a migration.
func (n *Node) migrationConfig() migrate.Config {
	cfg := migrate.Config{
		Node: n.cfg.Name, BackupDir: n.backupDir(), CreateFile: createFile,
		Target: &migrationTarget{Store: n.selector.kv, n: n}, Authority: controlRecords{n.controlRecord}, Record: controlRecords{n.controlRecord},
		Cluster: n.clusterForPreflight, PeerRows: n.peerRows, PeerProblems: n.peerProblems, Host: n.selector, Journal: n.journal, FreeSpace: freeBytes,
		OnRunning: n.gc.migrationRuns, OnStateChange: n.announceMigration, Log: n.log,
		OpenBackup: openCopy, // a rollback reads its file back
		Backup: func(ctx context.Context, path string) (migrate.Backup, error) {
			b, err := n.signedBackup(ctx, path)
			return migrate.Backup{Path: b.Path, SHA256: b.SHA256, Bytes: b.Bytes}, err
		},
	}
	if file := n.selector.file(); file != nil {
		cfg.Source = file
	}
	return cfg
}

// announceMigration tells every node's recorder how a migration ended. The observers see the
// states before.
func (n *Node) announceMigration(st migrate.Status) {
	switch {
	case st.Error != nil:
		clusterView{n}.Note(cluster.Degraded, "migration", "the migration stopped in "+string(st.State)+": "+st.Error.Text)
	case st.State == migrate.StateAborted, st.State == migrate.StateDone:
		clusterView{n}.Note(cluster.Note, "migration", "the migration is "+string(st.State))
	}
}

// clusterForPreflight is what the observer sees, in the terms of core/migrate.
func (n *Node) clusterForPreflight(ctx context.Context) (migrate.Cluster, error) {
	v := n.observer.Fresh(ctx)
	c := migrate.Cluster{Expected: v.Expected, Findings: groupProblems(v, time.Now())}
	for _, node := range v.Nodes {
		peer := migrate.Peer{Name: node.Name, Online: node.Reachable(), FreeBytes: freeSpace(node), JetStreamOff: node.Off}
		if i := node.Info; i != nil {
			peer.Version, peer.File, peer.Serving, peer.Journal = i.Version, i.Serving.File, i.Serving.Backend, i.Journal
			peer.Ready = i.Ready
		}
		c.Peers = append(c.Peers, peer)
	}
	return c, nil
}

// migrationTarget is the KV store as the copier and the verifier see it. The migration
// calls it from one goroutine at a time.
type migrationTarget struct {
	*kv.Store
	n           *Node
	guardsReady atomic.Bool // the store follows the guards
}

// Prepare makes missing buckets and raises their replicas, and those of the internal ones
// with them.
func (t *migrationTarget) Prepare(ctx context.Context, replicas int) error {
	if replicas > 0 {
		t.CreateBuckets(ctx, replicas)
	}
	if err := t.followGuards(ctx); err != nil || replicas == 0 {
		return err
	}
	if err := t.Scale(ctx, replicas); err != nil {
		return err
	}
	return t.n.raiseInternal(ctx, replicas)
}

// followGuards opens the store for the copier. Reading the rows too would gain nothing
// while they are written, and a fence would have to wait for it.
func (t *migrationTarget) followGuards(ctx context.Context) error {
	if t.guardsReady.Load() || t.n.selector.selection().rowsReady {
		return nil
	}
	err := t.OpenGuards(ctx)
	t.guardsReady.Store(err == nil)
	return err
}

// Shut closes the buckets to users for the coming generation. From then on only this store's
// copier writes.
func (t *migrationTarget) Shut(ctx context.Context, generation uint64) error {
	if err := t.followGuards(ctx); err != nil {
		return err
	}
	t.n.selector.forgetGuards()
	return t.Store.Shut(ctx, generation)
}

// Rows reads the rows that the leader has.
func (t *migrationTarget) Rows(ctx context.Context, table core.Table) iter.Seq2[core.Row, error] {
	return t.Store.Keys(ctx, table)
}

// OpenReplicaReader implements migrate.Target. It returns a nil interface with an error.
func (t *migrationTarget) OpenReplicaReader(ctx context.Context, table core.Table, node string, after uint64) (migrate.ReplicaReader, error) {
	reader, err := t.Store.OpenReplicaReader(ctx, table, node, after)
	if err != nil {
		return nil, err
	}
	return reader, nil
}

// PutRows writes rows that the copier's merge found missing or different. To compare them again
// would read the table once a batch.
func (t *migrationTarget) PutRows(ctx context.Context, rows []core.Row) (int, error) {
	return t.Store.WriteRows(ctx, rows)
}

// controlRecords is the control bucket. An absent key has revision 0 and no error.
type controlRecords struct{ *kv.Control }

// Authority implements migrate.AuthorityRecord.
func (r controlRecords) Authority(ctx context.Context) (core.Authority, uint64, error) {
	a, rev, err := r.Control.Authority(ctx)
	if core.KindOf(err) == core.KindNotFound {
		return core.Authority{}, 0, nil
	}
	return a, rev, err
}

// Migration implements migrate.StatusRecord.
func (r controlRecords) Migration(ctx context.Context) ([]byte, uint64, error) {
	data, rev, err := r.Control.Migration(ctx)
	if core.KindOf(err) == core.KindNotFound {
		return nil, 0, nil
	}
	return data, rev, err
}

func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, core.Errorf(core.KindFailed, "the free space of %s cannot be read: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// migrator is what operators command. It embeds the migration of this node.
type migrator struct {
	*migrate.Job
	selector *storeSelector
}

// migrator is nil on a node alone: there is nowhere to migrate to.
func (n *Node) migrator() admin.Migrator {
	if n.migration == nil {
		return nil
	}
	return migrator{n.migration, n.selector}
}

// Status is the migration that counts for the cluster. Without a quorum it is the status
// that was seen last, with its time.
func (m migrator) Status(ctx context.Context) (migrate.Status, error) {
	st, err := m.Current(ctx)
	if seen := m.selector.selection().migration; err != nil && seen != nil {
		return *seen, nil
	}
	return st, err
}

// decodeMigration returns false for a record that is absent or of another version.
func decodeMigration(data []byte) (migrate.Status, bool) {
	var st migrate.Status
	if len(data) == 0 || json.Unmarshal(data, &st) != nil {
		return st, false
	}
	return st, true
}

// groupProblems lists what is wrong with the raft groups that a migration writes to.
func groupProblems(v cluster.View, now time.Time) []core.Problem {
	var out []core.Problem
	for _, f := range cluster.Obstacles(v, now) {
		out = append(out, core.Problem{Text: f.Text, Next: f.Next})
	}
	return out
}

// freeSpace is how many bytes a node can store: the smaller of its free disk and what is left of
// JetStream's limit. It is nil if that is not known.
func freeSpace(node cluster.Node) *int64 {
	if node.Info == nil || node.Info.DiskFree == nil {
		return nil
	}
	free := *node.Info.DiskFree
	if node.DiskMax > 0 {
		free = min(free, max(0, node.DiskMax-node.Disk))
	}
	return &free
}
