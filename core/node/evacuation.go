package node

import (
	"context"
	"slices"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/jsapi"
)

// Evacuate implements the membership of core/admin. It does not wait for the copies: they take as long
// as the buckets are large, and the caller sees them in the status. A replica of a node that is down
// is replaced at once, as a removal would do it. If the group grew first, it would need the new node's
// vote while that node still copies.
func (m nodeMembership) Evacuate(ctx context.Context, _ core.Operator, name string) (admin.Done, error) {
	m.n.changingNodes.Lock()
	defer m.n.changingNodes.Unlock()
	if err := m.checkName(name); err != nil {
		return admin.Done{}, err
	}
	if !cluster.IsKnown(m.n.observer.Fresh(ctx), name) {
		return admin.Done{}, core.Errorf(core.KindNotFound, "no node is named %s", name).WithNext("unibusd node list")
	}
	if err := m.awaitSafe(ctx, name); err != nil {
		return admin.Done{}, err
	}
	view := m.n.observer.View()
	api, request := jsapi.Client{Conn: m.n.conns.store}, map[string]string{"peer": cluster.PeerID(name)}
	for _, b := range view.AllBuckets() {
		here := func(r cluster.Replica) bool { return r.Node == name }
		if !slices.ContainsFunc(b.Replicas, here) || view.SpareNode(b) == "" {
			continue
		}
		err := api.RequestUntil(ctx, "STREAM.PEER.REMOVE."+streamOf(b.Name), request, nil)
		if err != nil && !jsapi.Answered(err, jsapi.CodePeerNotMember) {
			return admin.Done{}, core.Errorf(core.KindUnavailable, "no other node has taken the replica of %s on %s: %w", b.Name, name, err).
				WithNext("see the replicas: unibusd bucket list")
		}
	}
	return admin.Done{Text: "The replicas of " + name + " are copied to other nodes."}, nil
}
