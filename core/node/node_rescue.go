package node

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/jsapi"
)

// Fence implements the membership of core/admin. It is a removal without the agreement that
// has no majority: each node that is left writes it down for itself. So it comes before the
// rescue: a node that came back during that would make a second cluster.
func (m nodeMembership) Fence(ctx context.Context, by core.Operator, name string) (admin.NodeChanged, error) {
	m.n.changingNodes.Lock()
	defer m.n.changingNodes.Unlock()
	none := admin.NodeChanged{}
	if err := m.checkName(name); err != nil {
		return none, err
	}
	change, known := m.n.membership.of(name)
	if known = known && change.State == core.NodeRemoved; !known {
		change = core.NodeChange{Name: name, State: core.NodeRemoved, By: by.Name, At: core.MillisOf(time.Now())}
		view, err := m.n.observer.Next(ctx)
		switch {
		case err != nil:
			return none, err
		case !cluster.IsKnown(view, name):
			return none, core.Errorf(core.KindNotFound, "no node is named %s", name).WithNext("`unibusd node list` shows them")
		}
		if err := cluster.FenceUnsafe(view, name); err != nil {
			return none, err
		}
		if err := m.n.membership.checkSpace(name); err != nil {
			return none, err
		}
	}
	return m.replicate(ctx, change)
}

// Rescue implements the membership of core/admin. Each fenced node leaves the meta group by
// the agreement of all nodes that are left. The servers then drop it from the groups of the
// streams, which elect a leader of what is left of them.
func (m nodeMembership) Rescue(ctx context.Context, quorum int) (admin.Rescued, error) {
	m.n.changingNodes.Lock()
	defer m.n.changingNodes.Unlock()
	out := admin.Rescued{Quorum: quorum, Removed: []string{}}
	view, err := m.n.observer.Next(ctx)
	if err == nil {
		err = cluster.RescueUnsafe(view, quorum)
	}
	if err != nil {
		return out, err
	}
	out.Survivors, out.Loss, out.Node = view.Survivors(), cluster.RescueLoss(view), m.n.cfg.Name
	if len(out.Loss) > 0 {
		m.n.log.Warn("the buckets have no leader, and this is what may be lost", "loss", cluster.LossSentences(out.Node, out.Loss))
	}
	m.n.log.Warn("the meta group is rescued", "quorum", quorum, "left", out.Survivors, "lost", view.Fenced())
	if err := m.lowerQuorum(ctx, view, quorum); err != nil {
		return out, err
	}
	for _, name := range view.Fenced() {
		if err := m.removePeer(ctx, name); err != nil {
			return out, unfinishedRescue(quorum, err)
		}
		if err := m.awaitRescue(ctx, quorum, func(v cluster.View) bool { return !slices.Contains(v.Fenced(), name) }); err != nil {
			return out, err
		}
		out.Removed = append(out.Removed, name)
	}
	err = m.awaitRescue(ctx, quorum, func(v cluster.View) bool {
		out.Meta = v.Meta
		return cluster.RescuePending(v) == ""
	})
	return out, err
}

// awaitRescue waits for what the servers do by themselves.
func (m nodeMembership) awaitRescue(ctx context.Context, quorum int, done func(cluster.View) bool) error {
	for {
		v, err := m.n.observer.Next(ctx)
		if err == nil && done(v) {
			return nil
		}
		if !jsapi.Sleep(ctx, viewPoll) {
			return unfinishedRescue(quorum, core.Errorf(core.KindUnavailable, "%s", cluster.RescuePending(m.n.observer.View())))
		}
	}
}

func unfinishedRescue(quorum int, why error) error {
	return core.Errorf(core.KindUnavailable, "the rescue is not complete: %w", why).
		WithNext("see how far it is: `unibusd guide rescue`; to go on with it: unibusd node rescue --quorum %d", quorum)
}

const (
	rescueAnswers = time.Second     // each server answers at once
	rescueElects  = 5 * time.Second // an election begins within a second of the lower quorum
)

// lowerQuorum has the nodes that are left elect a leader. The servers refuse it until they
// have given their last leader up, about ten seconds after it fell silent.
func (m nodeMembership) lowerQuorum(ctx context.Context, v cluster.View, quorum int) error {
	for v.Meta.Leader == "" {
		refusals, err := m.askRescue(ctx, quorum, len(v.Survivors()))
		if err != nil {
			return err
		}
		m.n.log.Warn("a lower quorum was asked for", "quorum", quorum, "refused", refusals)
		wait, cancel := context.WithTimeout(ctx, rescueElects)
		for v.Meta.Leader == "" && jsapi.Sleep(wait, viewPoll) {
			v = m.n.observer.Fresh(wait)
		}
		cancel()
		if v.Meta.Leader == "" && ctx.Err() != nil {
			return unfinishedRescue(quorum, core.Errorf(core.KindUnavailable, "no leader was elected (%s)", strings.Join(refusals, "; ")))
		}
		if err := cluster.RescueUnsafe(v, quorum); v.Meta.Leader == "" && err != nil { // a node was lost or came meanwhile
			return err
		}
	}
	return nil
}

// rescueAnswer is a server's answer to a request to lower its quorum.
type rescueAnswer struct {
	Server string       `json:"server"`
	Error  *jsapi.Error `json:"error"`
}

// askRescue asks every server, and returns why some refused. KindRefused where none of them
// can ever agree.
func (m nodeMembership) askRescue(ctx context.Context, quorum, servers int) (refusals []string, err error) {
	ask, cancel := context.WithTimeout(ctx, rescueAnswers)
	defer cancel()
	body, err := json.Marshal(map[string]int{"quorum_needed": quorum})
	if err != nil {
		return nil, err
	}
	answers, never := 0, 0
	err = cluster.Conn{NATS: m.n.conns.system}.RequestMany(ask, jsapi.Prefix+"META.RESCUE", body, func(data []byte) bool {
		var a rescueAnswer
		if json.Unmarshal(data, &a) != nil {
			return true
		}
		answers++
		if a.Error != nil {
			refusals = append(refusals, a.Server+": "+a.Error.Description)
			if !strings.Contains(a.Error.Description, "leader is known") {
				never++
			}
		}
		return answers < servers
	})
	if err == nil && never == servers {
		err = core.Errorf(core.KindRefused, "no server can lead the meta group: %s", strings.Join(refusals, "; ")).
			WithNext("restore a backup: docs/operations/restore.md, \"When a majority was lost for good, or every node\"")
	}
	return refusals, err
}
