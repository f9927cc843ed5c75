package cluster

import (
	"fmt"
	"slices"
)

// EvacuationPending says what is left until a node that is down can be removed without
// loss. Then it has no replica that a spare node could hold, and every replica of the
// nodes that answer is current. "" if nothing is left.
func EvacuationPending(v View, name string) string {
	for _, b := range v.AllBuckets() {
		switch {
		case b.Leader == "":
			return short(b.Name) + " has no leader"
		case b.Waiting != "":
			return "a replica of " + short(b.Name) + " is moving"
		case v.SpareNode(b) != "" && b.isOn(name):
			return fmt.Sprintf("the replica of %s on %s has no new node yet", short(b.Name), name)
		case v.SpareNode(b) != "" && len(b.Replicas) < b.Wanted:
			return fmt.Sprintf("%s has %d of %d replicas", short(b.Name), len(b.Replicas), b.Wanted)
		}
		for _, r := range b.Replicas {
			if r.State != ReplicaCurrent && !v.IsSilent(r.Node) && r.Node != name {
				return fmt.Sprintf("%s is being copied to %s", short(b.Name), r.Node)
			}
		}
	}
	return ""
}

// isOn is true where a node holds a replica of the bucket, current or not.
func (b Bucket) isOn(node string) bool {
	return slices.ContainsFunc(b.Replicas, func(r Replica) bool { return r.Node == node })
}
