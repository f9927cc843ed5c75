package cluster

import (
	"strings"
	"testing"

	"unibus/core"
)

// TestLoweringIsRefused where a replica that stays could lack something, and where a node
// would raise the replicas again. The reason names the node or the bucket.
func TestLoweringIsRefused(t *testing.T) {
	t.Parallel()
	agreed := func(change func(*View)) View {
		return with(healthy(3, 3), func(v *View) {
			for i := range v.Nodes {
				v.Nodes[i].Info.Replicas = 1
			}
			change(v)
		})
	}
	for name, c := range map[string]struct {
		view     View
		replicas int
		want     string // a part of the reason; "": it may be
	}{
		"every replica is current":                 {agreed(func(*View) {}), 1, ""},
		"none would be lowered":                    {lose(healthy(3, 3), "n3"), 3, ""},
		"a node is down":                           {lose(agreed(func(*View) {}), "n3"), 1, "n3 does not answer"},
		"a node says nothing":                      {agreed(func(v *View) { v.Nodes[1].Info = nil }), 1, "n2 does not answer"},
		"configurations ask for more":              {agreed(func(v *View) { v.Nodes[0].Info.Replicas, v.Nodes[2].Info.Replicas = 3, 2 }), 1, "the configuration of n1 and n3 asks for more"},
		"a replica is behind":                      {agreed(func(v *View) { v.Buckets[1].Replicas[2] = Replica{"n3", ReplicaBehind, 7} }), 1, "rooms on n3 is behind"},
		"a replica is off":                         {agreed(func(v *View) { v.Buckets[1].Replicas[2] = Replica{"n3", ReplicaOffline, 0} }), 1, "rooms on n3 is not current"},
		"a bucket has no leader":                   {agreed(func(v *View) { v.Buckets[0].Leader = "" }), 1, "users has no leader"},
		"a bucket is still changing":               {agreed(func(v *View) { v.Buckets[0].Waiting = "catching up" }), 1, "users are still changing"},
		"a bucket does not have them all yet":      {agreed(func(v *View) { v.Buckets[0].Replicas = v.Buckets[0].Replicas[:2] }), 1, "users are still changing"},
		"two of three replicas are left, and stay": {agreed(func(v *View) { v.Buckets[0].Replicas, v.Buckets[0].Waiting = v.Buckets[0].Replicas[:2], "no node" }), 2, ""},
		"one of two that stay is behind": {agreed(func(v *View) {
			v.Buckets[0].Replicas = []Replica{{"n1", ReplicaCurrent, 0}, {"n2", ReplicaBehind, 7}}
		}), 2, "users are still changing"},
		"an internal bucket is behind as well": {agreed(func(v *View) {
			v.InternalBuckets = []Bucket{v.Buckets[0]}
			v.InternalBuckets[0].Name, v.InternalBuckets[0].Leader = "UNIBUS_control", ""
		}), 1, "UNIBUS_control has no leader"},
		"only internal buckets have more, and a node is down": {lose(agreed(func(v *View) {
			v.InternalBuckets = []Bucket{v.Buckets[0]}
			v.InternalBuckets[0].Wanted = 5
		}), "n3"), 3, "n3 does not answer"},
	} {
		switch err := LoweringUnsafe(c.view, c.replicas); {
		case err == nil && c.want == "":
		case err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) || core.AsError(err).Next == "":
			t.Errorf("%s: %v", name, err)
		}
	}
}
