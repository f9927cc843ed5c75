package node

import (
	"context"
	"encoding/json"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/jsapi"
)

// A node that runs must not lose its vote: it would go on with what it has, and ask for it
// again. So a drained one is asked to stop, and the removal begins once no node hears it. It
// writes the removal down before it stops, or a service manager would start it again.

const (
	retirementStops = 30 * time.Second       // until a node that has agreed to stop is silent
	retirementPause = 200 * time.Millisecond // for the answer, before the connections close
)

// retire has a drained node stop for good. It refuses what is not safe, before and after it
// has excluded changes at other nodes.
func (m nodeMembership) retire(ctx context.Context, change core.NodeChange) error {
	name := change.Name
	if err := m.n.membership.checkSpace(name); err != nil {
		return err
	}
	if err := cluster.RetirementUnsafe(m.n.observer.Fresh(ctx), name); err != nil {
		return err
	}
	if err := m.claim(ctx); err != nil {
		return err
	}
	view, err := m.n.observer.Next(ctx)
	if err == nil {
		err = cluster.RetirementUnsafe(view, name)
	}
	if err == nil {
		err = m.n.membership.checkSpace(name)
	}
	if err == nil {
		err = m.askToStop(ctx, change)
	}
	if err != nil {
		return err
	}
	return m.awaitStopped(ctx, name)
}

// askToStop returns once the node has agreed.
func (m nodeMembership) askToStop(ctx context.Context, change core.NodeChange) error {
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	var reply membershipReply
	err = m.n.peers.ask(wait, subjectRetire, body, func(data []byte) bool {
		return json.Unmarshal(data, &reply) != nil || reply.Node != change.Name
	})
	switch {
	case err != nil:
		return err
	case reply.Node != change.Name:
		return core.Errorf(core.KindUnavailable, "%s was not removed: it did not say that it stops", change.Name).
			WithNext("stop unibusd on %s, and then: unibusd node remove %s", change.Name, change.Name)
	case reply.Fault != "":
		return core.Errorf(core.KindRefused, "%s was not removed: it does not stop, because %s", change.Name, reply.Fault).
			WithNext("stop unibusd on %s, and then: unibusd node remove %s", change.Name, change.Name)
	}
	return nil
}

// awaitStopped waits until the node is silent, and may be removed like any other.
func (m nodeMembership) awaitStopped(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, retirementStops)
	defer cancel()
	for {
		view, err := m.n.observer.Next(ctx)
		if err == nil {
			err = cluster.RemovalUnsafe(view, name)
		}
		if err == nil {
			return nil
		}
		if !jsapi.Sleep(ctx, viewPoll) {
			return core.Errorf(core.KindUnavailable, "%s has agreed to stop, and was not removed yet: %s", name, core.AsError(err).Text).
				WithNext("it does not start again; once it has stopped: unibusd node remove %s", name)
		}
	}
}

// answerRetirement has this node stop for its removal. Other nodes do not answer.
func (n *Node) answerRetirement(_ context.Context, body []byte) any {
	var change core.NodeChange
	if err := json.Unmarshal(body, &change); err != nil || change.Name != n.cfg.Name || change.State != core.NodeRemoved {
		return nil
	}
	if !n.isDrained() {
		return membershipReply{Node: n.cfg.Name, Fault: "it is not drained"}
	}
	if err := n.membership.put(change); err != nil {
		return membershipReply{Node: n.cfg.Name, Fault: core.AsError(err).Text}
	}
	n.log.Warn("this node was drained, and stops to be removed", "by", change.By)
	time.AfterFunc(retirementPause, func() { n.fail(n.removedFault(change)) })
	return membershipReply{Node: n.cfg.Name}
}
