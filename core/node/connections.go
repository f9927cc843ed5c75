package node

import (
	"context"
	"errors"

	"unibus/core/keys"

	"github.com/nats-io/nats.go"
)

// connections are the node's own to its bus, one for each identity.
type connections struct {
	system, store, admin, peer, audit, events, control *nats.Conn
}

func (n *Node) openConnections(context.Context) error {
	for _, c := range []struct {
		conn **nats.Conn
		id   keys.Identity
		name string
	}{
		{&n.conns.system, n.identities.system, "observer"},
		{&n.conns.store, n.identities.store, "store"},
		{&n.conns.admin, n.identities.admin, "operators' service"},
		{&n.conns.peer, n.identities.peer, "peers"},
		{&n.conns.audit, n.identities.audit, "audit"},
		{&n.conns.events, n.identities.events, "events"},
		{&n.conns.control, n.identities.control, "control service"},
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
	for _, nc := range []*nats.Conn{n.conns.control, n.conns.events, n.conns.audit, n.conns.peer, n.conns.admin, n.conns.store, n.conns.system} {
		if nc != nil {
			nc.Close()
		}
	}
	return nil
}
