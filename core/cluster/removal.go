package cluster

import (
	"fmt"
	"slices"

	"unibus/core"
)

// IsKnown is true for the name of a node, or of a member of the meta group that is none.
func IsKnown(v View, name string) bool {
	_, ok := v.node(name)
	return ok || slices.Contains(v.Meta.OrphanPeers, name) || slices.ContainsFunc(v.Meta.OrphanPeers, func(p string) bool { return p == "peer "+PeerID(name) })
}

// RemovalUnsafe says why a node cannot be removed for good; nil if it can. The node must
// be down, and every group must be able to agree on the removal without it. KindRefused,
// and KindUnavailable during an election.
func RemovalUnsafe(v View, name string) error {
	n, _ := v.node(name)
	refuse := func(format string, args ...any) *core.Error {
		return core.Errorf(core.KindRefused, "%s cannot be removed: "+format, append([]any{name}, args...)...)
	}
	switch {
	case name == v.From || n.Online:
		return refuse("it is running").WithNext("stop unibusd on %s first", name)
	case v.onSQLite() == name:
		return refuse("the control plane is the SQLite file on it, and would be lost").WithNext("start %s, and migrate the control plane to KV first", name)
	case v.Moving != "":
		return refuse("a migration is running (%s)", v.Moving).WithNext("see how far it is: unibusd migration status")
	case v.Meta.Online < v.Meta.Needed:
		return refuse("the meta group has no quorum: %d of %d nodes answer, and %d are needed", v.Meta.Online, v.Meta.Size, v.Meta.Needed).
			WithNext("start the other nodes first: unibusd node list shows them")
	case v.Meta.Leader == "":
		return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: the meta group is electing a leader", name).WithNext("try again in some seconds")
	}
	for _, b := range v.AllBuckets() {
		if b.liveReplicasWithout(name) < b.needed() {
			return refuse("%s would have no quorum: %d of its %d replicas are current on other nodes, and %d are needed",
				short(b.Name), b.liveReplicasWithout(name), b.size(), b.needed()).
				WithNext("wait until the other replicas are current: unibusd bucket list shows them")
		}
	}
	return nil
}

// liveReplicasWithout is liveReplicas without those of one node.
func (b Bucket) liveReplicasWithout(node string) int {
	n := 0
	for _, r := range b.Replicas {
		if r.Node != node && r.takesPart() {
			n++
		}
	}
	return n
}

// RemovalPending says what is left to do after a node was removed; "" if nothing is.
func RemovalPending(v View, name string) string {
	if slices.Contains(v.Meta.OrphanPeers, name) || v.Meta.Leader == "" {
		return "the meta group still counts it"
	}
	for _, b := range v.AllBuckets() {
		if slices.ContainsFunc(b.Replicas, func(r Replica) bool { return r.Node == name }) {
			return short(b.Name) + " still has a replica there"
		}
		if b.liveReplicas() < min(b.Wanted, len(v.online())) {
			return fmt.Sprintf("%s has %d of %d replicas current on the other nodes", short(b.Name), b.liveReplicas(), min(b.Wanted, len(v.online())))
		}
	}
	return ""
}
