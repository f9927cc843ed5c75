package node

import (
	"context"
	"errors"
	"iter"
	"syscall"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/kv"
)

// moveConfig plugs this node's parts into a migration.
func (p *plane) moveConfig() migrate.Config {
	cfg := migrate.Config{
		Node: p.n.cfg.Name, BackupDir: p.backups(),
		Target: moveTarget{p, p.store}, Authority: record{p.control}, Record: record{p.control},
		Cluster: p.describe, PeerRows: p.peerRows, PeerProblems: p.peerProblems, Host: p, Journal: p.n.journal, FreeSpace: freeBytes, OnStateChange: p.moved, Log: p.log,
		OpenBackup: openCopy, // a rollback reads its file back, and gives a node a file that has none
		Backup: func(ctx context.Context, path string) (migrate.Backup, error) {
			b, err := p.signedBackup(ctx, path)
			return migrate.Backup{Path: b.Path, SHA256: b.SHA256, Bytes: b.Bytes}, err
		},
	}
	if p.db() != nil {
		cfg.Source = p.db()
	}
	return cfg
}

// moved tells every node's record how a move ended; the states on the way are seen by the observers.
func (p *plane) moved(st migrate.Status) {
	switch {
	case st.Error != nil:
		eyes{p.n}.Note(cluster.Degraded, "migration", "the move stopped in "+string(st.State)+": "+st.Error.Text)
	case st.State == migrate.StateAborted, st.State == migrate.StateDone:
		eyes{p.n}.Note(cluster.Note, "migration", "the move is "+string(st.State))
	}
}

// describe is the cluster as a preflight wants it.
func (p *plane) describe(ctx context.Context) (migrate.Cluster, error) {
	v := p.n.observer.Fresh(ctx)
	c := migrate.Cluster{Expected: v.Expected, Findings: obstacles(v, time.Now())}
	for _, node := range v.Nodes {
		peer := migrate.Peer{Name: node.Name, Online: node.Online, FreeBytes: room(node), JetStreamOff: node.Off}
		if i := node.Info; i != nil {
			peer.Version, peer.File, peer.Serving, peer.Journal = i.Version, i.Serving.File, i.Serving.Backend, i.Journal
			peer.Ready = i.Ready
		}
		c.Peers = append(c.Peers, peer)
	}
	return c, nil
}

// moveTarget is the KV store as the copier and the verifier see it.
type moveTarget struct {
	plane *plane
	*kv.Store
}

// Prepare makes the buckets where they are missing and raises them.
func (t moveTarget) Prepare(ctx context.Context, replicas int) error {
	if replicas > 0 {
		t.CreateBuckets(ctx, replicas)
	}
	if err := t.plane.attendKV(ctx); err != nil || replicas == 0 {
		return err
	}
	return t.Store.Scale(ctx, replicas)
}

// Shut closes the buckets to users for the generation to come; from then on this store's copier alone writes.
func (t moveTarget) Shut(ctx context.Context, generation uint64) error {
	if err := t.plane.attendKV(ctx); err != nil {
		return err
	}
	t.plane.mu.Lock()
	t.plane.guarded = core.Authority{} // whatever was open is shut
	t.plane.mu.Unlock()
	return t.Store.Shut(ctx, generation)
}

// Rows reads what the leader holds.
func (t moveTarget) Rows(ctx context.Context, table core.Table) iter.Seq2[core.Row, error] {
	return t.Store.Keys(ctx, table)
}

// OpenReplicaReader implements migrate.Target; it returns a nil interface with an
// error.
func (t moveTarget) OpenReplicaReader(ctx context.Context, table core.Table, node string, after uint64) (migrate.ReplicaReader, error) {
	p, err := t.Store.OpenReplicaReader(ctx, table, node, after)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// PutRows writes what the copier's merge found missing or different; comparing again would read the table once a batch.
func (t moveTarget) PutRows(ctx context.Context, rows []core.Row) (int, error) {
	return t.Store.WriteRows(ctx, rows)
}

// record is the control bucket with the migration's word for an absent key: revision 0.
type record struct{ *kv.Control }

// Authority implements migrate.AuthorityRecord.
func (r record) Authority(ctx context.Context) (core.Authority, uint64, error) {
	a, rev, err := r.Control.Authority(ctx)
	if core.KindOf(err) == core.KindNotFound {
		return core.Authority{}, 0, nil
	}
	return a, rev, err
}

// Migration implements migrate.StatusRecord.
func (r record) Migration(ctx context.Context) ([]byte, uint64, error) {
	data, rev, err := r.Control.Migration(ctx)
	if core.KindOf(err) == core.KindNotFound {
		return nil, 0, nil
	}
	return data, rev, err
}

func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, core.Errorf(core.KindFailed, "the free space of %s is not known: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// mover is what operators steer; without routes there is nowhere to move to.
type mover struct{ p *plane }

func (p *plane) mover() mover { return mover{p} }

func (m mover) job() (*migrate.Job, error) {
	if m.p.job == nil {
		return nil, core.Errorf(core.KindRefused, "%s stands alone: there is nowhere to move its control plane to", m.p.n.cfg.Name).
			WithNext("restart it with --cluster-name, --cluster-listen and --routes, and start the other nodes")
	}
	return m.p.job, nil
}

// Status is the move that counts for the cluster.
func (m mover) Status(ctx context.Context) (migrate.Status, error) {
	job, err := m.job()
	if err != nil {
		return migrate.Status{State: migrate.StateNone}, nil
	}
	st, err := job.Current(ctx)
	if seen := m.p.moving.Load(); err != nil && seen != nil {
		return *seen, nil // without a quorum: what was seen last, with its Updated
	}
	return st, err
}

// Start starts a move or joins the one that runs.
func (m mover) Start(ctx context.Context, by string, o migrate.Options) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Start(ctx, by, o) })
}

// Pause holds the copy.
func (m mover) Pause(ctx context.Context, by string) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Pause(ctx, by) })
}

// Resume lets it go on.
func (m mover) Resume(ctx context.Context, by string) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Resume(ctx, by) })
}

// Abort restores what was.
func (m mover) Abort(ctx context.Context, by string) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Abort(ctx, by) })
}

// Cutover moves the authority.
func (m mover) Cutover(ctx context.Context, by string) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Cutover(ctx, by) })
}

// Finish ends the soak.
func (m mover) Finish(ctx context.Context, by string) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Finish(ctx, by) })
}

// Limit sets the rate of the copy.
func (m mover) Limit(ctx context.Context, by string, rate int) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Limit(ctx, by, rate) })
}

// Rollback brings the control plane back to SQLite.
func (m mover) Rollback(ctx context.Context, by string) (migrate.Status, error) {
	return m.do(func(j *migrate.Job) (migrate.Status, error) { return j.Rollback(ctx, by) })
}

func (m mover) do(f func(*migrate.Job) (migrate.Status, error)) (migrate.Status, error) {
	job, err := m.job()
	if err != nil {
		return migrate.Status{}, err
	}
	st, err := f(job)
	return st, errors.Join(err)
}
