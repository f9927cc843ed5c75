package demo

import (
	"context"
	"crypto/tls"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
)

// requestTimeout bounds one request to a node.
const requestTimeout = 2 * time.Second

// NewClient returns a client with one of the identities of the demo. It connects
// to the named servers, or to all nodes. The caller opens and closes it.
func NewClient(d Description, identity string, servers ...string) (*admin.Client, error) {
	id, err := keys.ReadSeed(identity)
	if err != nil {
		return nil, err
	}
	pool, err := keys.LoadPool(d.CA)
	if err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		servers = d.URLs()
	}
	return admin.NewClient(admin.ClientConfig{
		Servers: servers, Identity: id, Name: "unibusd demo", Timeout: requestTimeout, Connect: requestTimeout, ClusterKey: d.ClusterKey,
		TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
	}), nil
}

// adminReady requests the status from a node with the admin identity. The node is
// ready once it answers that request itself, knows a leader of the meta group, and
// serves a store, if it has to serve one from the start.
func adminReady(ctx context.Context, d Description, node string) error {
	n, err := d.Node(node)
	if err != nil {
		return err
	}
	client, err := NewClient(d, d.Identities.Admin, n.URL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	if err := client.Open(ctx); err != nil {
		return err
	}
	defer client.Close()
	st, err := client.Status(ctx)
	if err != nil {
		return err
	}
	return checkStatus(st, d, node)
}

// checkStatus judges a status that a node returned.
func checkStatus(st admin.Status, d Description, node string) error {
	if m := st.Meta; m.Leader == "" && m.Needed > 0 && m.Online < m.Needed {
		return majorityError{core.Errorf(core.KindUnavailable, "%s runs and waits for a majority: %d of %d nodes answer, %d are needed", node, m.Online, m.Size, m.Needed).
			WithNext("start another node")}
	}
	if st.Meta.Leader == "" {
		return core.Errorf(core.KindUnavailable, "%s sees no meta leader yet", node)
	}
	for _, b := range st.AllBuckets() {
		if b.Leader == "" {
			return core.Errorf(core.KindUnavailable, "%s sees no leader of %s yet", node, b.Name)
		}
	}
	for _, n := range st.Nodes {
		if n.Name != node {
			continue
		}
		if !n.Online {
			break
		}
		return checkServing(n.Info != nil && n.Info.Serving.Backend != core.BackendNone && n.Info.Serving.Backend != "", st, d, node)
	}
	return core.Errorf(core.KindUnavailable, "%s is not seen in the cluster yet", node)
}

// majorityError says that a node runs and cannot serve before another one is
// started.
type majorityError struct{ err *core.Error }

// Error is the text of the error inside.
func (w majorityError) Error() string { return w.err.Text }

// Unwrap returns the error inside, which has the kind.
func (w majorityError) Unwrap() error { return w.err }

// checkServing requires a store of the node that has the SQLite file, and of every
// node once KV is the control plane.
func checkServing(serves bool, st admin.Status, d Description, node string) error {
	kv := d.LegacyDB == "" || st.Authority != nil && st.Authority.Backend == core.BackendKV
	source := len(d.Nodes) > 0 && d.Nodes[0].Name == node
	if serves || !kv && !source {
		return nil
	}
	return core.Errorf(core.KindUnavailable, "%s serves no control plane yet", node)
}
