package node

import (
	"context"
	"path/filepath"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/migrate"
)

// openRestores begins to take backups that a new cluster is filled with.
func (n *Node) openRestores(ctx context.Context) error {
	if !n.cfg.Clustered() {
		return nil
	}
	n.restores = backup.NewClusterRestorer(backup.ClusterRestoreConfig{
		Node: n.cfg.Name, Dir: filepath.Join(n.cfg.Data, "restoring"), Free: freeBytes, Log: n.log,
		Target: &migrationTarget{Store: n.selector.kv, n: n}, Authority: controlRecords{n.controlRecord}, Ledger: n.controlRecord,
		Host: n.selector, MayRestore: n.mayRestore,
	})
	return n.restores.Open(ctx)
}

func (n *Node) closeRestores(context.Context) error {
	if n.restores == nil {
		return nil
	}
	return n.restores.Close()
}

// mayRestore refuses a control plane that is not in the buckets, or is being migrated.
func (n *Node) mayRestore(a core.Authority) error {
	fresh := a.Backend == "" || a.Backend == core.BackendNone
	switch st := n.selector.selection().migration; {
	case a.Backend == core.BackendSQLite:
		return core.Errorf(core.KindRefused, "the control plane is the SQLite file of %s, and a backup is restored into the buckets of a new cluster", a.Node).
			WithNext("set store = \"kv\" on every node of the new cluster")
	case fresh && n.cfg.Store != core.BackendKV:
		return core.Errorf(core.KindRefused, "%s has --store %s, and a backup is restored into the buckets of a new cluster", n.cfg.Name, n.cfg.Store).
			WithNext("set store = \"kv\" on every node of the new cluster, and restart them")
	case st != nil && (st.Active() || st.State == migrate.StateSoak):
		return core.Errorf(core.KindRefused, "a migration of the control plane is in %s", st.State).WithNext("unibusd migration status")
	}
	return nil
}

// isRestoring is true while a restore has closed the buckets, or was interrupted.
func (n *Node) isRestoring() bool {
	rec := n.backupRecord()
	return rec != nil && rec.Restore.Unfinished(n.selector.selection().authority)
}
