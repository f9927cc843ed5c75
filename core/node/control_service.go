package node

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/cluster"
	"unibus/core/control"
)

// openControlService begins to answer users.
func (n *Node) openControlService(ctx context.Context) error {
	n.control = control.NewService(control.Config{
		Conn: n.conns.control, Node: n.cfg.Name, Store: &n.storeHandle, Guard: n.newReplay(), Prover: n.waitingProver(), Quotas: n.quotas(),
		Now:         func() core.Millis { return core.MillisOf(time.Now()) },
		EndSessions: n.endSessions, Audit: userAdminAudit{n.audit},
		Note: func(by core.UserID, text string) { clusterView{n}.Note(cluster.Note, by.Short(), text) },
		Log:  n.log,
	})
	n.sessions.expiry.control.Store(n.control)
	return n.control.Open(ctx)
}

// quotas are those of the settings, with defaults for the rest.
func (n *Node) quotas() control.Quotas {
	return control.Quotas{
		Invitations: n.cfg.QuotaInvitations, Rooms: n.cfg.QuotaRooms, Members: n.cfg.QuotaMembers,
		Rekeys: n.cfg.QuotaRekeys, Bytes: int64(n.cfg.QuotaMegabytes) << 20,
	}.OrDefaults()
}

func (n *Node) closeControlService(context.Context) error {
	n.sessions.expiry.control.Store(nil)
	return n.control.Close()
}

// endSessions ends a revoked user's sessions on every node, for the control service.
func (n *Node) endSessions(ctx context.Context, u core.User) map[string]control.Ended {
	out := map[string]control.Ended{}
	for name, e := range n.sessions.End(ctx, u) {
		out[name] = control.Ended{Ended: e.Ended, Unknown: e.Unknown}
	}
	return out
}

// userAdminAudit puts what user-admins do into the audit of the operators.
type userAdminAudit struct{ log *audit.Log }

// Begin records an intent.
func (u userAdminAudit) Begin(ctx context.Context, in control.AuditIntent) (func(context.Context, error), error) {
	action, err := u.log.Begin(ctx, audit.Intent{By: audit.UserAdmin(in.By), Verb: in.Verb, Args: in.Args, Restores: in.WorksWithoutQuorum})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, result error) { u.log.End(ctx, action, result) }, nil
}
