package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/cluster"
	"unibus/core/events"
	"unibus/core/jsapi"
	"unibus/core/store/kv"
)

// raftGroups changes raft groups for operators.
type raftGroups struct{ n *Node }

// Scale gives every bucket of the control plane so many replicas, and the internal buckets,
// the audit and the events with them: without these nothing can be changed, so that they decide as
// well how many nodes may stop. They keep three where there are three nodes.
func (g raftGroups) Scale(ctx context.Context, replicas int) error {
	selector := g.n.selector
	if selector.kv == nil {
		return core.Errorf(core.KindRefused, "%s runs alone and has no buckets", g.n.cfg.Name).WithNext("join it to a cluster first")
	}
	if size := g.n.size(); replicas > size {
		return core.Errorf(core.KindRefused, "%d replicas need %d nodes, and %d are configured", replicas, replicas, size).
			WithNext("use at most --replicas %d", size)
	}
	if selector.serving().Backend != core.BackendKV {
		file := "FILE"
		if serving := selector.serving(); serving.Backend == core.BackendSQLite {
			file = core.ShellQuote(g.n.cfg.DB)
		}
		return core.Errorf(core.KindRefused, "the control plane is not in KV yet").WithNext("migrate it with `unibusd migrate-to-kv --db %s --replicas %d`", file, replicas)
	}
	if err := g.awaitLowering(ctx, replicas); err != nil {
		return err
	}
	if err := selector.kv.SetReplicas(ctx, replicas); err != nil {
		return err
	}
	return g.n.setInternal(ctx, internalReplicas(replicas, g.n.size()))
}

// raiseInternal gives the control record, the nonces, the audit and the events as many replicas as the
// buckets of the control plane have, where they have fewer.
func (n *Node) raiseInternal(ctx context.Context, replicas int) error {
	replicas = internalReplicas(replicas, n.size())
	for _, b := range n.observer.Fresh(ctx).InternalBuckets {
		replicas = max(replicas, b.Wanted)
	}
	return n.setInternal(ctx, replicas)
}

func (n *Node) setInternal(ctx context.Context, replicas int) error {
	api := jsapi.Client{Conn: n.conns.store}
	refused := func(err error) bool { return jsapi.Answered(err, jsapi.CodeReplicasFixed, jsapi.CodeNotClustered) }
	for _, stream := range n.internalStreams() {
		if err := api.SetReplicas(ctx, stream, replicas, refused); err != nil {
			return err
		}
	}
	return nil
}

// internalStreams are the streams beside the tables. The record of sessions is one once it was written.
func (n *Node) internalStreams() []string {
	streams := []string{streamOf(kv.ControlBucket), streamOf(kv.NoncesBucket), audit.Stream, events.Stream}
	if slices.ContainsFunc(n.observer.View().InternalBuckets, func(b cluster.Bucket) bool { return b.Name == kv.LastSeenBucket }) {
		streams = append(streams, streamOf(kv.LastSeenBucket))
	}
	return streams
}

// internalReplicas is three, so that any node may stop, or as many as the control plane
// has, or as many as there are nodes.
func internalReplicas(replicas, nodes int) int { return min(max(replicas, 3), nodes) }

// lowerTimeout is how long replicas may take to become current before they are lowered. The
// record of the request itself has just been written, so that some are a moment behind.
const lowerTimeout = 10 * time.Second

// awaitLowering returns nil once the buckets may have as few replicas as that.
func (g raftGroups) awaitLowering(ctx context.Context, replicas int) error {
	for end := time.Now().Add(lowerTimeout); ; {
		err := cluster.LoweringUnsafe(g.n.observer.Fresh(ctx), replicas)
		if core.KindOf(err) != core.KindUnavailable || time.Now().After(end) || !jsapi.Sleep(ctx, viewPoll) {
			return err
		}
	}
}

// StepDown asks a group's leader to hand over, to a given node or to any. A node in
// maintenance is none: it would hand over again at once.
func (g raftGroups) StepDown(ctx context.Context, group, to string) error {
	group = groupName(group)
	if m, ok := g.n.observer.View().InMaintenance(to); ok {
		return core.Errorf(core.KindRefused, "%s", cluster.MaintenanceText(m, time.Now())).WithNext("name another node, or end the maintenance first: unibusd node resume %s", to)
	}
	return g.stepDown(ctx, group, to)
}

// groupName is the name in full of a group that lists of what a node leads name by its end.
func groupName(name string) string {
	known := []string{kv.ControlBucket, kv.NoncesBucket, kv.LastSeenBucket, audit.Stream, events.Stream}
	for _, t := range core.Tables() {
		known = append(known, t.Bucket())
	}
	if full := "UNIBUS_" + name; slices.Contains(known, full) {
		return full
	}
	return name
}

func (g raftGroups) stepDown(ctx context.Context, group, to string) error {
	conn, verb := g.n.conns.store, "STREAM.LEADER.STEPDOWN."+streamOf(group)
	switch {
	case !g.n.cfg.Clustered() || g.n.size() == 1:
		return core.Errorf(core.KindRefused, "%s runs alone: it leads everything, and there is no other node that could", g.n.cfg.Name).
			WithNext("there is nothing to do; docs/operations/three-hosts.md shows how three nodes become a cluster")
	case group == "meta":
		conn, verb = g.n.conns.system, "META.LEADER.STEPDOWN"
	case group == audit.Stream, group == events.Stream, group == kv.ControlBucket, group == kv.NoncesBucket, group == kv.LastSeenBucket:
	case !slices.ContainsFunc(core.Tables(), func(t core.Table) bool { return t.Bucket() == group }):
		return core.Errorf(core.KindInvalid, "there is no group %q", group).WithNext("use meta, or a bucket's name such as %s", core.TableUsers.Bucket())
	}
	var body any
	if to != "" {
		if _, err := core.ParseNodeName(to); err != nil {
			return err
		}
		body = map[string]any{"placement": map[string]string{"preferred": to}}
	}
	// Servers drop the request while the group has no leader. Sent twice, it moves the leader twice at worst.
	return stepDownError(group, jsapi.Client{Conn: conn}.RequestUntil(ctx, verb, body, nil))
}

// stepDownError tells a leader's refusal from no answer.
func stepDownError(group string, err error) error {
	if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
		return core.Errorf(core.KindNotFound, "there is no bucket %s yet: a migration to KV creates it", group).
			WithNext("see the buckets that there are: unibusd bucket list")
	}
	if refusal, ok := errors.AsType[*jsapi.Error](err); ok {
		return core.Errorf(core.KindRefused, "the leader of %s refused to step down: %s", group, refusal.Description).
			WithNext("`unibus-tui status` shows which nodes answer and which replicas are current: only these can lead")
	}
	if err != nil {
		e := core.Errorf(core.KindUnavailable, "the leader of %s did not answer in time, or it has none", group)
		e.Err = err
		return e.WithNext("see whether it has one: unibus-tui status")
	}
	return nil
}
