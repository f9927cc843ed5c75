package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
)

// openTimeout bounds the making of buckets, which waits for a quorum.
const openTimeout = 120 * time.Second

// openControlPlane opens this node's SQLite file and begins to serve. In a cluster it
// also begins to follow the record of authority, which may take a quorum's time.
func (n *Node) openControlPlane(ctx context.Context) error {
	if err := n.openFile(ctx); err != nil {
		return err
	}
	if n.cfg.Clustered() {
		if err := n.newMigration(); err != nil {
			return errors.Join(err, n.closeFile())
		}
	}
	work := n.controlPlane.start()
	go n.selector.run(work)
	if err := n.startControlPlane(ctx); err != nil {
		return errors.Join(err, n.closeControlPlane(ctx))
	}
	n.controlPlane.run(func() { n.rowCounts.run(work, n.storeHandle.Store) })
	if n.cfg.Clustered() {
		n.controlPlane.run(func() { n.followControlRecord(work) })
		n.controlPlane.run(func() { n.fingerprint.run(work, n.selector.file) })
		n.controlPlane.run(func() { n.awaitMissingFile(work) })
	}
	return nil
}

// startControlPlane serves what is known without a quorum.
func (n *Node) startControlPlane(ctx context.Context) error {
	if n.migration != nil { // first: it lifts a fence that a crash left
		if err := n.migration.Open(ctx); err != nil {
			return err
		}
	}
	return n.selector.applyFirst()
}

// closeControlPlane first ends what may wait for a quorum. The migration still gets
// its answers, and ends, before the selector does.
func (n *Node) closeControlPlane(context.Context) error {
	n.controlPlane.cancel()
	var errs []error
	if n.migration != nil {
		errs = append(errs, n.migration.Close())
	}
	n.selector.close()
	n.controlPlane.stop()
	if n.selector.kv != nil {
		errs = append(errs, n.selector.kv.Close())
	}
	return errors.Join(append(errs, n.closeFile())...)
}

// openFile opens the node's SQLite file. Alone it is created. In a cluster a missing
// one is not: such a node serves nothing until the authority is KV.
func (n *Node) openFile(ctx context.Context) error {
	entry, err := n.journal.Load()
	if err != nil {
		return err
	}
	path, alone := n.cfg.DB, !n.cfg.Clustered()
	if a := entry.Authority; alone && a != nil && (a.Backend == core.BackendKV || a.Backend == core.BackendSQLite && a.Node != n.cfg.Name) {
		return core.Errorf(core.KindRefused, "%s belongs to a cluster whose control plane is %s on %s: alone it would start a second one", n.cfg.Name, a.Backend, a.Node).
			WithNext("start it with the cluster's flags, or give an empty --data directory")
	}
	if entry.File != "" && !sameFile(entry.File, path) {
		n.log.Warn("the journal names another SQLite file than --db; the node uses the one of the journal", "file", entry.File, "db", path)
		path = entry.File
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		switch named := entry.Authority != nil && entry.Authority.Backend == core.BackendSQLite; {
		case !alone:
			return nil
		case named:
			return errFileMissing(n.cfg.Name, path, entry.FileNeverServed, false, "then start "+n.cfg.Name+" again")
		}
	}
	file := sqlite.New(sqlite.Config{Path: path, Create: alone, AllowFenced: !alone})
	if err := file.Open(ctx); err != nil {
		return n.startWithoutFile(entry, path, err)
	}
	n.selector.update(func(v *selection) { v.file = file })
	return nil
}

// startWithoutFile decides whether the node can do without a file that it cannot open:
// KV needs none, and a rollback whose file was never served can be taken back.
func (n *Node) startWithoutFile(entry migrate.Entry, path string, cause error) error {
	a := entry.Authority
	if !n.cfg.Clustered() || !entry.FileNeverServed && (a == nil || a.Backend != core.BackendKV) {
		return cause
	}
	n.log.Warn("the SQLite file cannot be opened; this node starts without it", "file", path, "error", cause)
	return nil
}

func (n *Node) closeFile() error {
	if file := n.selector.file(); file != nil {
		return file.Close()
	}
	return nil
}

// newMigration makes what a cluster's control plane needs, without a quorum.
func (n *Node) newMigration() error {
	if err := os.MkdirAll(n.backupDir(), 0o700); err != nil {
		return core.Errorf(core.KindFailed, "the directory for backups cannot be created: %w", err)
	}
	n.controlRecord = kv.NewControl(kv.ControlConfig{
		Conn: n.conns.store, Replicas: internalReplicas(n.cfg.Replicas, n.cfg.Size()), Budget: openTimeout, Logger: n.log,
		LastSeq: func() (uint64, bool) { return n.bus.LastSeq("KV_" + kv.ControlBucket) },
	})
	n.selector.kv = kv.New(kv.Config{
		Conn: n.conns.store, Replicas: n.cfg.Replicas, Nodes: n.fixedSize(), Budget: openTimeout, Logger: n.log,
		Node: n.cfg.Name, TempDir: filepath.Join(n.cfg.Data, "tmp"), OnChange: n.sessions.onStoreChange, OnAlarm: n.sessions.alarmed,
		NewestReadable: func() (int, string) { return cluster.NewestReadable(n.observer.View()) },
	})
	n.migration = migrate.New(n.migrationConfig())
	return nil
}

// backupDir is where a migration puts the copies that it takes first.
func (n *Node) backupDir() string { return filepath.Join(n.cfg.Data, "backups") }

// followControlRecord opens the control record and hands each of its states to the
// selector, until ctx ends.
func (n *Node) followControlRecord(ctx context.Context) {
	n.retryUntil(ctx, "the control record cannot be opened yet", n.controlRecord.Open)
	for ctx.Err() == nil {
		if err := n.controlRecord.Watch(ctx, n.selector.recordSeen); err != nil && ctx.Err() == nil {
			n.log.Warn("the control record cannot be watched", "error", err)
		}
		sleep(ctx, retryEvery)
	}
}

// retryUntil calls open until it succeeds or ctx ends.
func (n *Node) retryUntil(ctx context.Context, failure string, open func(context.Context) error) {
	for ctx.Err() == nil {
		err := open(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		n.log.Warn(failure, "error", err)
		sleep(ctx, retryEvery)
	}
}
