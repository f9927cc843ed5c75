package cluster

import "testing"

// TestEvacuationIsPending: a lost node is not removed while a spare node could still take
// a replica of it, or while a replica of a node that answers is not complete.
func TestEvacuationIsPending(t *testing.T) {
	t.Parallel()
	on := func(states ...Replica) func(*View) {
		return func(v *View) {
			for i := range v.Buckets {
				v.Buckets[i].Leader = "n1"
			}
			v.Buckets[0].Replicas = states
		}
	}
	n1, n2, n4 := Replica{"n1", ReplicaCurrent, 0}, Replica{"n2", ReplicaCurrent, 0}, Replica{"n4", ReplicaCurrent, 0}
	lost, behind := Replica{"n3", ReplicaOffline, 0}, Replica{"n4", ReplicaBehind, 32}
	base := func() View {
		v := lose(healthy(4, 3), "n3")
		for i := range v.Buckets {
			v.Buckets[i].Leader, v.Buckets[i].Replicas = "n1", []Replica{n1, n2, n4}
		}
		return v
	}
	for name, c := range map[string]struct {
		change func(*View)
		want   string
	}{
		"everything is there":            {on(n1, n2, n4), ""},
		"not moved":                      {on(n1, n2, lost), "the replica of users on n3 has no new node yet"},
		"without a replica":              {on(n1, n2), "users has 2 of 3 replicas"},
		"a little behind":                {on(n1, n2, behind), "users is being copied to n4"},
		"unknown":                        {on(n1, n2, Replica{"n4", ReplicaUnknown, 0}), "users is being copied to n4"},
		"no spare node":                  {on(n1, n2, n4, lost), ""},
		"another lost node is no reason": {func(v *View) { *v = lose(*v, "n2"); on(n1, Replica{"n2", ReplicaOffline, 9}, n4)(v) }, ""},
		"no leader":                      {func(v *View) { v.Buckets[0].Leader = "" }, "users has no leader"},
		"moving":                         {func(v *View) { v.Buckets[0].Waiting = "catchup" }, "a replica of users is moving"},
	} {
		if got := EvacuationPending(with(base(), c.change), "n3"); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
