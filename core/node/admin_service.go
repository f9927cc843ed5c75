package node

import (
	"context"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/config"
)

// openAdminService begins to answer operators. It is opened after everything that it steers.
func (n *Node) openAdminService(ctx context.Context) error {
	declared := map[string]string{}
	for _, f := range config.Declared().List() {
		declared[f.Name] = f.Value
	}
	n.admin = admin.NewService(admin.ServiceConfig{
		Conn: n.conns.admin, Node: n.cfg.Name, Declared: declared, Flags: activeFlags,
		Operator: n.operator, Guard: n.replay, Prover: n.prover(), Audit: n.audit,
		Now:   func() core.Millis { return core.MillisOf(time.Now()) },
		Store: &n.storeHandle, Cluster: clusterView{n}, Groups: raftGroups{n}, Sessions: n.sessions, Removal: operatorRemover{n}, Membership: nodeMembership{n},
		Checker: controlPlaneChecker{n, &sync.Mutex{}},
		Bus:     roomBus{n}, Migrator: n.migrator(), Backups: n.backups, Schedule: scheduledBackups{n}, Restorer: n.restorer(), Log: n.log,
	})
	return n.admin.Open(ctx)
}

// restorer is nil on a node alone.
func (n *Node) restorer() admin.ClusterRestorer {
	if n.restores == nil {
		return nil
	}
	return n.restores
}

func (n *Node) closeAdminService(context.Context) error { return n.admin.Close() }
