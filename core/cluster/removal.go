package cluster

import (
	"fmt"
	"slices"
)

// IsKnown is true for the name of a node, or of a member of the meta group that is none.
func IsKnown(v View, name string) bool {
	_, ok := v.node(name)
	return ok || slices.Contains(v.Meta.OrphanPeers, name) || slices.ContainsFunc(v.Meta.OrphanPeers, func(p string) bool { return p == "peer "+PeerID(name) })
}

// RemovalUnsafe says why a node cannot be removed for good; "" if it can. The node must
// be down, and every group must be able to agree on the removal without it.
func RemovalUnsafe(v View, name string) string {
	n, _ := v.node(name)
	switch {
	case name == v.From || n.Online:
		return name + " is running. Stop unibusd there first"
	case v.onSQLite() == name:
		return "the control plane is the SQLite file on " + name + ", and would be lost with it"
	case v.Moving != "":
		return "a migration is running (" + v.Moving + ")"
	case v.Meta.Online < v.Meta.Needed:
		return fmt.Sprintf("the meta group has no quorum: %d of %d nodes answer, and %d are needed", v.Meta.Online, v.Meta.Size, v.Meta.Needed)
	case v.Meta.Leader == "":
		return "the meta group has no leader at this moment"
	}
	for _, b := range v.AllBuckets() {
		if b.liveReplicasWithout(name) < b.needed() {
			return fmt.Sprintf("%s would have no quorum: %d of its %d replicas are current on other nodes, and %d are needed",
				short(b.Name), b.liveReplicasWithout(name), b.size(), b.needed())
		}
	}
	return ""
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
