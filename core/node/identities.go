package node

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/bus"
	"unibus/core/keys"
)

// identities are the node's own keys. They are made at every start, never leave
// memory and are admitted from the in-process pipe alone.
type identities struct {
	system  keys.Identity // observes, over SYS
	store   keys.Identity // the KV store's, everything in CONTROL
	admin   keys.Identity // answers operators: may publish to inboxes and events alone
	peer    keys.Identity // talks to the other nodes
	audit   keys.Identity // appends to the audit
	control keys.Identity // answers users: may publish to inboxes and rooms' events alone
}

// connections are the node's own, one for each identity.
type connections struct {
	system, store, admin, peer, audit, control *nats.Conn
}

func (n *Node) openIdentities(context.Context) error {
	grants := map[string]auth.Grant{}
	for _, part := range []struct {
		id    *keys.Identity
		grant auth.Grant
	}{
		{&n.ids.system, auth.GrantSystem()},
		{&n.ids.store, auth.GrantStore()},
		{&n.ids.admin, auth.GrantAdminService()},
		{&n.ids.peer, auth.GrantPeer()},
		{&n.ids.audit, auth.GrantAudit(n.cfg.Name)},
		{&n.ids.control, auth.GrantControlService()},
	} {
		id, err := keys.GenerateIdentity()
		if err != nil {
			return core.Errorf(core.KindFailed, "the node's own keys cannot be made: %w", err)
		}
		*part.id = id
		grants[id.Public()] = part.grant
	}
	n.auth = auth.New(auth.Config{
		Mode: n.cfg.BusAuth, Operators: n.cfg.Operators, ViewerVerbs: viewerVerbs(), Internal: grants, Users: &n.holder,
		OnSoft: func(key, remote string, reason *core.Error) {
			if n.soft.record(key, remote, reason, time.Now()) { // a client that comes again and again is counted, not logged
				n.log.Warn("admitted, would be denied under enforce", "key", key, "remote", remote, "reason", reason)
			}
		},
	})
	n.bus = bus.New(n.busConfig(), n.auth)
	return nil
}

// viewerVerbs are what a viewer may send; the server refuses the rest before the service does.
func viewerVerbs() []string {
	var verbs []string
	for v, rule := range admin.Rules() {
		if rule.Role == core.OperatorViewer {
			verbs = append(verbs, string(v))
		}
	}
	return verbs
}

func (n *Node) openConnections(context.Context) error {
	for _, c := range []struct {
		conn **nats.Conn
		id   keys.Identity
		name string
	}{
		{&n.conns.system, n.ids.system, "observer"},
		{&n.conns.store, n.ids.store, "store"},
		{&n.conns.admin, n.ids.admin, "operators' service"},
		{&n.conns.peer, n.ids.peer, "peers"},
		{&n.conns.audit, n.ids.audit, "audit"},
		{&n.conns.control, n.ids.control, "control service"},
	} {
		nc, err := n.bus.InProcess(c.id, nats.Name("unibusd "+c.name))
		if err != nil {
			return errors.Join(err, n.closeConnections(context.Background()))
		}
		*c.conn = nc
	}
	return nil
}

func (n *Node) closeConnections(context.Context) error {
	for _, nc := range []*nats.Conn{n.conns.control, n.conns.audit, n.conns.peer, n.conns.admin, n.conns.store, n.conns.system} {
		if nc != nil {
			nc.Close()
		}
	}
	return nil
}
