package node

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/control"
)

func (n *Node) openControl(ctx context.Context) error {
	// The cluster's nonces are shared with the operators' service; the memory of
	// this node's own is not: users must not be able to fill that of operators.
	guard := &auth.Replay{Node: n.cfg.Name, Cluster: n.clusterName(), Own: auth.NewMemory(time.Now), Now: time.Now}
	if n.proof.nonces != nil {
		guard.Nonces = n.proof.nonces
	}
	n.control = control.NewService(control.Config{
		Conn: n.conns.control, Node: n.cfg.Name, Holder: &n.holder, Guard: guard,
		Now:         func() core.Millis { return core.MillisOf(time.Now()) },
		EndSessions: n.endSessions,
		Note:        func(by core.UserID, text string) { eyes{n}.Note(cluster.Note, by.Short(), text) },
		Log:         n.log,
	})
	return n.control.Open(ctx)
}

func (n *Node) closeControl(context.Context) error { return n.control.Close() }

// endSessions is what the operators' service does for a revocation, in the words of the control service.
func (n *Node) endSessions(ctx context.Context, u core.User) map[string]control.Ended {
	out := map[string]control.Ended{}
	for name, e := range n.sessions.End(ctx, u) {
		out[name] = control.Ended{Ended: e.Ended, Unknown: e.Unknown}
	}
	return out
}
