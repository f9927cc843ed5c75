package node

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/store/kv"
)

// Reload is reload, for tests.
func (n *Node) Reload() error { return n.reload() }

// SetProtocols makes the node one of another release, before Open.
func (n *Node) SetProtocols(p core.Protocols) { n.protocols = p }

// MetricsAddr is the address of the node's metrics.
func (n *Node) MetricsAddr() string { return n.metrics.Addr() }

// Store is the store that this node serves, for tests that write past the services.
func (n *Node) Store() (core.Store, error) { return n.storeHandle.Store() }

// PublishStore makes a store the one in force here, for tests of one that fails.
func (n *Node) PublishStore(s core.Store) { n.storeHandle.Publish(s) }

// Answers decides on a user as admission does, and returns the backend that decided, or
// an error if none did.
func (n *Node) Answers(ctx context.Context, id core.UserID) (core.Backend, error) {
	s, err := n.storeHandle.Store()
	if err != nil {
		return core.BackendNone, err
	}
	if _, err = s.Admit(ctx, id); err != nil && core.KindOf(err) != core.KindNotFound {
		return core.BackendNone, err
	}
	if _, ok := s.(*kv.Store); ok {
		return core.BackendKV, nil
	}
	return core.BackendSQLite, nil
}

// StoreConn is the connection of this node's KV store, for measurements beside it.
func (n *Node) StoreConn() *nats.Conn { return n.conns.store }

// SystemConn is the connection over which this node observes the servers: it receives everything in SYS.
func (n *Node) SystemConn() *nats.Conn { return n.conns.system }

// Decide is what the node's authenticator says about a connection.
func (n *Node) Decide(ctx context.Context, r auth.Request) (auth.Grant, error) {
	return n.auth.Decide(ctx, r)
}

// ServerID is nats-server's id of this run of the node.
func (n *Node) ServerID() string { return n.bus.ID() }

// RecordTimeout is how long a new node lets others record the cluster's key.
const RecordTimeout = recordTimeout

// Observe returns a View of an observation that begins now.
func (n *Node) Observe(ctx context.Context) (cluster.View, error) { return n.observer.Next(ctx) }

// ObservedState is what a node's heartbeat says.
func ObservedState(n *Node) string { return n.observedState() }

// LastSeq is the last sequence of a node's own replica of a stream.
func LastSeq(n *Node, stream string) (uint64, bool) { return n.bus.LastSeq(stream) }

// OperatorNames are those of the operators in force, in order.
func (n *Node) OperatorNames() string {
	var names []string
	for _, op := range *n.operators.Load() {
		names = append(names, op.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// ConfigFault is why the configuration file is not in use; "" where it is.
func (n *Node) ConfigFault() string {
	if f := n.configFault.Load(); f != nil {
		return f.text
	}
	return ""
}
