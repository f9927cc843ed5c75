package node

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/jsapi"
)

// Remove implements the membership of core/admin. The peer first leaves the meta group, by agreement
// of a majority, and only then is its name refused: an interrupted call leaves either
// everything as it was, or a node without a vote. A drained node that runs stops first, and
// does not start again. The same call completes it.
func (m nodeMembership) Remove(ctx context.Context, by core.Operator, name string) (admin.NodeChanged, error) {
	m.n.changingNodes.Lock()
	defer m.n.changingNodes.Unlock()
	none := admin.NodeChanged{}
	if err := m.checkName(name); err != nil {
		return none, err
	}
	change, known := m.n.membership.of(name)
	if known = known && change.State == core.NodeRemoved; !known {
		change = core.NodeChange{Name: name, State: core.NodeRemoved, By: by.Name, At: core.MillisOf(time.Now())}
		claim := m.claimRemoval
		if cluster.RunsDrained(m.n.observer.Fresh(ctx), name) {
			claim = func(ctx context.Context, _ string) error { return m.retire(ctx, change) }
		}
		if err := claim(ctx, name); err != nil {
			return none, err
		}
	}
	if err := m.removePeer(ctx, name); err != nil {
		return none, err
	}
	out, err := m.replicate(ctx, change)
	if err != nil {
		return none, err
	}
	view, err := m.awaitGone(ctx, name)
	out.Meta = view.Meta
	return out, err
}

// claimRemoval refuses a removal that is not safe, before and after it has excluded
// changes at other nodes.
func (m nodeMembership) claimRemoval(ctx context.Context, name string) error {
	if view := m.n.observer.Fresh(ctx); !cluster.IsKnown(view, name) {
		return core.Errorf(core.KindNotFound, "no node is named %s", name).WithNext("`unibusd node list` shows them")
	}
	if err := m.n.membership.checkSpace(name); err != nil {
		return err
	}
	if err := m.awaitSafe(ctx, name); err != nil {
		return err
	}
	if err := m.claim(ctx); err != nil {
		return err
	}
	if err := m.awaitSafe(ctx, name); err != nil {
		return err
	}
	return m.n.membership.checkSpace(name) // another node's change may have come meanwhile
}

// removalSettles is how long a node that has just stopped may still count as heard, its
// addresses may be tried, and a group may be without a leader for that.
const removalSettles = 16 * time.Second

// awaitSafe waits a moment for what time changes. A View from before the call could lack
// what another node has just changed.
func (m nodeMembership) awaitSafe(ctx context.Context, name string) error {
	settling, cancel := context.WithTimeout(ctx, removalSettles)
	defer cancel()
	for {
		view, err := m.n.observer.Next(ctx)
		if err == nil {
			err = cluster.RemovalUnsafe(view, name)
		}
		if core.KindOf(err) != core.KindUnavailable || !jsapi.Sleep(settling, viewPoll) {
			return err
		}
	}
}

// removePeer has the meta group's leader remove a node's peer. It is named by its id: a
// server that has not seen the node since its own start does not know the name.
func (m nodeMembership) removePeer(ctx context.Context, name string) error {
	api, request := jsapi.Client{Conn: m.n.conns.system}, map[string]string{"peer_id": cluster.PeerID(name)}
	for {
		attempt, cancel := context.WithTimeout(ctx, removeAttempt)
		err := api.Request(attempt, "SERVER.REMOVE", request, nil)
		cancel()
		if err == nil || jsapi.Answered(err, jsapi.CodeServerNotMember) {
			return nil
		}
		if !jsapi.Sleep(ctx, viewPoll) {
			return core.Errorf(core.KindUnavailable, "%s was not removed: the leader of the meta group did not agree in time: %w", name, err).
				WithNext("try again: unibusd node remove %s", name)
		}
	}
}

const removeAttempt = 5 * time.Second // an answer comes once a majority has the change on disk

// awaitGone waits until no group has the node, and every bucket has as many current
// replicas as the remaining nodes can hold.
func (m nodeMembership) awaitGone(ctx context.Context, name string) (cluster.View, error) {
	for {
		view := m.n.observer.Fresh(ctx)
		left := cluster.RemovalPending(view, name)
		if left == "" {
			return view, nil
		}
		if !jsapi.Sleep(ctx, viewPoll) {
			return view, core.Errorf(core.KindUnavailable, "%s was removed from the meta group, and %s", name, left).
				WithNext("the servers go on by themselves; look again, or repeat: unibusd node remove %s", name)
		}
	}
}
