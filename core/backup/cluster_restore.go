package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// ClusterRestoreConfig is what a ClusterRestorer needs.
type ClusterRestoreConfig struct {
	Node      string
	Dir       string // of the ClusterRestorer alone: whatever is in it is removed
	Target    migrate.Target
	Authority migrate.AuthorityRecord
	Host      Host
	Ledger    Ledger // keeps the record of scheduled backups, of which the restore is a part
	// MayRestore is why the control plane that is in force cannot be filled: a migration, or
	// another store than KV. An authority of "" was never recorded.
	MayRestore func(a core.Authority) error
	Free       func(dir string) (int64, error)
	Log        *slog.Logger

	Lease          time.Duration // without a sign of life of another try; 0: 10 s
	AdmissionLease time.Duration // how long a node may rely on a proof; 0: 3 s
	Patience       time.Duration // with nodes that do not answer; 0: 1 min
}

// Host serves what an authority names, and stops serving.
type Host interface {
	Withdraw(reason *core.Error)
	Serve(ctx context.Context, a core.Authority) error
}

// ClusterRestorer puts a backup into the buckets of a new and empty cluster.
//
// The record says that a restore has begun, before the buckets are closed for a coming
// generation. While they are closed no node can prove anything, and admits nobody. Rows are
// written, every replica is read and compared, and one compare-and-swap of the authority opens
// the buckets. If the node is killed anywhere before that, the cluster stays closed, and the
// same command continues. It closes the buckets for a later generation, which refuses a
// stalled writer, and makes them equal to the backup.
type ClusterRestorer struct {
	cfg    ClusterRestoreConfig
	record *Scheduler // reads and changes the record alone
	upload upload
	rows   atomic.Int64
}

// NewClusterRestorer does no I/O.
func NewClusterRestorer(c ClusterRestoreConfig) *ClusterRestorer {
	for d, v := range map[*time.Duration]time.Duration{&c.Lease: 10 * time.Second, &c.AdmissionLease: 3 * time.Second, &c.Patience: time.Minute} {
		if *d == 0 {
			*d = v
		}
	}
	return &ClusterRestorer{cfg: c, record: NewScheduler(ScheduleConfig{Node: c.Node, Ledger: c.Ledger}), upload: upload{dir: c.Dir, free: c.Free}}
}

// Open removes the files of a process that was killed.
func (r *ClusterRestorer) Open(context.Context) error { return r.upload.clear() }

// Close removes an uploaded database.
func (r *ClusterRestorer) Close() error { return r.upload.clear() }

// Part takes a part of a database, or says how far a restore is.
func (r *ClusterRestorer) Part(by core.Operator, req core.RestorePartRequest) (core.RestorePart, error) {
	n, err := r.upload.add(by, req)
	return core.RestorePart{Bytes: n, Rows: int(r.rows.Load())}, err
}

// Run restores the uploaded database. KindRefused where the cluster is not new and
// empty, or another restore is under way.
func (r *ClusterRestorer) Run(ctx context.Context, by core.Operator, req core.RestoreRequest) (out core.ClusterRestored, err error) {
	path, err := r.upload.acquire(by, req)
	if err != nil {
		return out, err
	}
	defer r.upload.release()
	r.rows.Store(0)
	src, err := open(ctx, path)
	if err != nil {
		return out, err
	}
	defer func() { _ = src.Close() }() // it was only read
	content, err := read(ctx, src)
	if err != nil {
		return out, err
	}
	if !content.Same(Content{Tables: req.Tables}) {
		return out, core.Errorf(core.KindFailed, "the uploaded database is not the one that was sent: %s", content).WithNext("try again")
	}
	t, err := r.begin(ctx, by, content)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var renewed sync.WaitGroup
	renewed.Go(func() { t.renew(ctx, cancel) })
	err = t.run(ctx, src, content, &out)
	if err != nil {
		out, err = core.ClusterRestored{}, t.explain(err, context.Cause(ctx))
	}
	cancel(nil)
	renewed.Wait()
	return out, err
}

// begin records that this node restores, unless another one does.
func (r *ClusterRestorer) begin(ctx context.Context, by core.Operator, content Content) (*restoreAttempt, error) {
	a, _, err := r.cfg.Authority.Authority(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.cfg.MayRestore(a); err != nil {
		return nil, err
	}
	rec, _, err := r.record.load(ctx)
	if err != nil {
		return nil, err
	}
	t := &restoreAttempt{r: r, authority: a, isFirst: !rec.Restore.Unfinished(&a)}
	generation := a.Generation + 1
	if t.isFirst {
		err = r.checkEmpty(ctx)
	} else {
		generation, err = rec.Restore.Generation+1, r.awaitLeaseExpiry(ctx, *rec.Restore)
	}
	if err != nil {
		return nil, err
	}
	was := rec.Restore
	t.lease = core.ClusterRestore{Node: r.cfg.Node, Token: rand.Text(), Since: core.MillisOf(time.Now()), By: by.Name, Generation: generation}
	for _, table := range content.Tables {
		t.lease.Rows += table.Count
	}
	err = r.record.change(ctx, func(rec *core.BackupRecord) error {
		if rec.Restore.Unfinished(&a) && (was == nil || *rec.Restore != *was) {
			return errUnderWay(*rec.Restore)
		}
		lease := t.lease
		rec.Restore = &lease
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func errUnderWay(l core.ClusterRestore) error {
	return core.Errorf(core.KindRefused, "%s restores a backup into this cluster on %s since %s", l.By, l.Node, l.Since.Time().UTC().Format("15:04:05 UTC")).
		WithNext("unibus-tui status")
}

// awaitLeaseExpiry returns once another attempt has not renewed its lease for the time of one, by
// this node's own clock.
func (r *ClusterRestorer) awaitLeaseExpiry(ctx context.Context, l core.ClusterRestore) error {
	for until := time.Now().Add(r.cfg.Lease); time.Now().Before(until); {
		if err := pause(ctx, r.cfg.Lease/10); err != nil {
			return err
		}
		rec, _, err := r.record.load(ctx)
		if err != nil {
			return err
		}
		if rec.Restore != nil && *rec.Restore != l {
			return errUnderWay(*rec.Restore)
		}
	}
	return nil
}

// checkEmpty refuses a cluster that has any row.
func (r *ClusterRestorer) checkEmpty(ctx context.Context) error {
	for _, t := range core.Tables() {
		for row, err := range r.cfg.Target.Rows(ctx, t) {
			if err != nil {
				return err
			}
			return core.Errorf(core.KindRefused, "the cluster is not empty: %s has the row %s, and a backup is restored into a new cluster alone", row.Table.Bucket(), row.Key).
				WithNext("set up a new cluster, with data directories of its own")
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "the restore was interrupted: %w", context.Cause(ctx))
	case <-time.After(d):
		return nil
	}
}

// restoreAttempt is one attempt at a restore, while the record names it.
type restoreAttempt struct {
	r             *ClusterRestorer
	lease         core.ClusterRestore
	authority     core.Authority // before
	isFirst       bool           // no earlier attempt has closed the buckets
	closedBuckets bool           // this attempt has closed them
}

// renew renews the lease, and ends an attempt that another one has replaced.
func (t *restoreAttempt) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	for pause(ctx, t.r.cfg.Lease/5) == nil {
		err := t.change(ctx, func(rec *core.BackupRecord) {
			lease := *rec.Restore
			lease.Beat++
			rec.Restore = &lease
		})
		if errors.Is(err, errLeaseLost) {
			cancel(errLeaseLost)
			return
		}
	}
}

func (t *restoreAttempt) change(ctx context.Context, f func(*core.BackupRecord)) error {
	return t.r.record.change(ctx, func(rec *core.BackupRecord) error {
		if rec.Restore == nil || rec.Restore.Token != t.lease.Token {
			return errLeaseLost
		}
		f(rec)
		return nil
	})
}

// run closes the buckets, fills and compares them, and opens them.
func (t *restoreAttempt) run(ctx context.Context, src *sqlite.Store, content Content, out *core.ClusterRestored) error {
	cfg := t.r.cfg
	cfg.Host.Withdraw(core.Errorf(core.KindUnavailable, "a backup is being restored into this cluster").WithNext("wait for its end: unibus-tui status"))
	t.closedBuckets = true
	if err := t.retry(ctx, func() error { return cfg.Target.Shut(ctx, t.lease.Generation) }); err != nil {
		return err
	}
	if t.isFirst {
		if err := t.r.checkEmpty(ctx); err != nil { // a row may have been written before the buckets were closed
			return errors.Join(err, t.open(ctx))
		}
	}
	if err := pause(ctx, cfg.AdmissionLease); err != nil { // no earlier proof holds any more
		return err
	}
	if err := eachTable(func(table core.Table) error {
		return t.retry(ctx, func() error {
			return migrate.FillTable(ctx, src, cfg.Target, table, func(rows int) { t.r.rows.Add(int64(rows)) })
		})
	}); err != nil {
		return err
	}
	replicas, err := t.verify(ctx, src, content)
	if err != nil {
		return err
	}
	*out = core.ClusterRestored{Node: cfg.Node, Generation: t.lease.Generation, Tables: content.Tables, Replicas: replicas}
	return t.open(ctx)
}

// verify reads every replica, and compares its digest with the backup's.
func (t *restoreAttempt) verify(ctx context.Context, src *sqlite.Store, content Content) (replicas []string, err error) {
	for _, table := range core.Tables() {
		at := slices.IndexFunc(content.Tables, func(b core.BackupTable) bool { return b.Table == table })
		var want core.Digest
		if at >= 0 {
			want = content.Tables[at].Digest
		} else if want, err = migrate.DigestOf(ctx, src, table); err != nil { // derived from the members
			return nil, err
		}
		err := t.retry(ctx, func() error {
			nodes, err := t.r.cfg.Target.Nodes(ctx, table)
			if err != nil {
				return err
			}
			replicas = nodes
			for _, node := range nodes {
				got, err := t.r.cfg.Target.ReplicaDigest(ctx, table, node)
				if err != nil {
					return err
				}
				if got != want {
					return core.Errorf(core.KindFailed, "the replica of %s on %s is not what the backup has", table.Bucket(), node).WithNext("look at the disk of %s", node)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return replicas, nil
}

// open makes the buckets the authority, one generation on. If the answer to the write is
// lost, open reads the authority again.
func (t *restoreAttempt) open(ctx context.Context) error {
	cfg := t.r.cfg
	next := core.Authority{Backend: core.BackendKV, Node: cfg.Node, Generation: t.lease.Generation}
	err := t.retry(ctx, func() error {
		a, rev, err := cfg.Authority.Authority(ctx)
		switch {
		case err != nil || a == next:
			return err
		case a != t.authority:
			return core.Errorf(core.KindConflict, "the authority was changed meanwhile: it is %s on %s, of generation %d", a.Backend, a.Node, a.Generation).WithNext("unibus-tui status")
		}
		if _, err = cfg.Authority.PutAuthority(ctx, next, rev); core.KindOf(err) == core.KindConflict {
			return core.Errorf(core.KindUnavailable, "%w", err) // it is read again
		}
		return err
	})
	if err != nil {
		return err
	}
	t.closedBuckets = false
	if err := t.change(ctx, func(rec *core.BackupRecord) { rec.Restore = nil }); err != nil { // the authority says the same
		cfg.Log.Debug("the record of a restore stays; it is over", "error", err)
	}
	return t.retry(ctx, func() error { return cfg.Host.Serve(ctx, next) })
}

// retry calls f again while there is no majority or no answer.
func (t *restoreAttempt) retry(ctx context.Context, f func() error) error {
	for until := time.Now().Add(t.r.cfg.Patience); ; {
		err := f()
		if k := core.KindOf(err); k != core.KindUnavailable || time.Now().After(until) || ctx.Err() != nil {
			return err
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}

// explain says in what state the cluster is after an error.
func (t *restoreAttempt) explain(err, cause error) error {
	if errors.Is(cause, errLeaseLost) {
		return core.Errorf(core.KindConflict, "another restore has taken this one over").WithNext("unibus-tui status")
	}
	if !t.closedBuckets {
		return err
	}
	e := core.AsError(err)
	return core.Errorf(e.Kind, "the restore stopped, and the cluster stays closed: no user is admitted. %w", err).
		WithNext("%s", fmt.Sprintf("%srun the same command again, which continues the restore", joinNextStep(e.Next)))
}

func joinNextStep(next string) string {
	if next == "" {
		return ""
	}
	return next + "; then "
}

// eachTable calls f for every table at the same time, and returns the first error.
func eachTable(f func(core.Table) error) error {
	tables := core.Tables()
	errs := make([]error, len(tables))
	var all sync.WaitGroup
	for i, table := range tables {
		all.Go(func() { errs[i] = f(table) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
