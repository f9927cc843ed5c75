package cluster

import (
	"strings"
	"testing"

	"unibus/core"
)

// TestRemovalIsRefused: a node is not removed while it runs, while it alone has the
// control plane, or where a group could not agree without it. The reason names the group.
func TestRemovalIsRefused(t *testing.T) {
	t.Parallel()
	n3 := func(change func(*View)) View {
		return with(lose(healthy(3, 3), "n3"), func(v *View) {
			for i := range v.Buckets {
				v.Buckets[i].Leader = "n1" // the elections are over
			}
			for i := range v.Nodes {
				v.Nodes[i].Info.Hears, v.Nodes[i].Info.ListsNodes = []string{"n1", "n2"}, true
			}
			change(v)
		})
	}
	route := func(node string, fault core.RouteFault) func(*View) {
		return func(v *View) {
			r := Route{Addr: "10.0.0.3:6222", Node: node, Fault: fault, Detail: "it expired"}
			v.Nodes[0].Info.Routes = []Route{r}
			if node == "n3" { // n1 reports it
				v.Nodes[2].Unheard = []Unheard{{By: "n1", Addr: r.Addr, Fault: fault, Detail: r.Detail}}
			}
		}
	}
	down := n3(func(*View) {})
	for name, c := range map[string]struct {
		view   View
		remove string
		want   string // a part of the reason; "": it is removed
	}{
		"it is down":                                      {down, "n3", ""},
		"it is the asking node":                           {down, down.From, "it is running"},
		"its process hangs":                               {n3(route("n3", core.FaultHung)), "n3", "its process hangs (10.0.0.3:6222 accepts connections and says nothing to n1)"},
		"its certificate has expired":                     {n3(route("n3", core.FaultCertificate)), "n3", "a certificate keeps n1 from 10.0.0.3:6222"},
		"it refuses a certificate":                        {n3(route("n3", core.FaultOwnCertificate)), "n3", "a certificate keeps n1 from 10.0.0.3:6222"},
		"a moment ago it listened":                        {n3(route("n3", "")), "n3", "a moment ago n1 could open a route to 10.0.0.3:6222"},
		"another program has its address":                 {n3(route("n3", core.FaultForeign)), "n3", ""},
		"its successor has its address":                   {n3(route("n4", "")), "n3", ""},
		"it hangs, and its address was never reached":     {n3(route("", core.FaultHung)), "n3", "its process hangs (10.0.0.3:6222"},
		"another node hangs":                              {n3(route("n4", core.FaultHung)), "n3", ""},
		"it has just fallen silent":                       {n3(func(v *View) { v.Nodes[2].HeardMS = 1500 }), "n3", "it fell silent a moment ago"},
		"it has just refused connections":                 {n3(func(v *View) { v.Nodes[2].HeardMS = 1500; route("n3", core.FaultRefused)(v) }), "n3", ""},
		"it answers":                                      {down, "n2", "n2 cannot be removed: it is running"},
		"it began with KV":                                {n3(func(v *View) { v.Authority = nil }), "n3", ""},
		"no record, and it served a file":                 {n3(func(v *View) { v.Authority, v.Nodes[2].Info.Serving = nil, Serving{Backend: core.BackendSQLite} }), "n3", "may be a SQLite file on it"},
		"no record, and a node that has just joined":      {n3(func(v *View) { v.Authority, v.Nodes[1].Info.Serving = nil, Serving{Backend: core.BackendNone} }), "n3", ""},
		"no record says where, and a node serves nothing": {n3(func(v *View) { v.Authority, v.Serving = nil, Serving{Backend: core.BackendNone} }), "n3", "may be a SQLite file on it"},
		"it has the database":                             {n3(func(v *View) { v.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n3"} }), "n3", "may be a SQLite file on it"},
		"not every bucket was seen":                       {n3(func(v *View) { v.Buckets = v.Buckets[1:] }), "n3", "not every bucket was seen"},
		"another node hears it":                           {n3(func(v *View) { v.Nodes[1].Info.Hears = []string{"n1", "n3"} }), "n3", "n2 hears it"},
		"a node says nothing of it":                       {n3(func(v *View) { v.Nodes[1].Info.Hears = nil }), "n3", "n2 did not say"},
		"a node lists no names":                           {n3(func(v *View) { v.Nodes[0].Info.ListsNodes = false }), "n3", "n1 does not list the nodes"},
		"a bucket has no leader":                          {n3(func(v *View) { v.Buckets[2].Leader = "" }), "n3", "members has no leader"},
		"replicas are not known": {n3(func(v *View) {
			v.Buckets[0].Replicas = []Replica{{"n1", ReplicaCurrent, 0}, {"n2", ReplicaUnknown, 0}, {"n3", ReplicaOffline, 0}}
		}), "n3", "users would have no quorum"},
		"a migration is running":    {n3(func(v *View) { v.Moving = "copying" }), "n3", "a migration is running"},
		"the majority is lost":      {lose(healthy(3, 3), "n2", "n3"), "n3", "1 of 3 nodes answer, and 2 are needed"},
		"nobody leads":              {n3(func(v *View) { v.Meta.Leader = "" }), "n3", "electing a leader"},
		"a bucket has no quorum":    {n3(func(v *View) { v.Buckets[1].Replicas[1] = Replica{"n2", ReplicaBehind, 5000} }), "n3", "rooms would have no quorum: 1 of its 3"},
		"the only replica is on it": {n3(func(v *View) { v.Buckets[0].Replicas = v.Buckets[0].Replicas[2:] }), "n3", "the only copy of users is on it"},
	} {
		switch err := RemovalUnsafe(c.view, c.remove); {
		case err == nil && c.want == "":
		case err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) || core.AsError(err).Next == "":
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMembers: the nodes of a cluster are those of the configuration and of the commands'
// changes, whether the configuration was changed since or not.
func TestMembers(t *testing.T) {
	t.Parallel()
	removed, added := core.NodeChange{Name: "n3", State: core.NodeRemoved}, core.NodeChange{Name: "n4", State: core.NodeAdded}
	for name, c := range map[string]struct {
		cfg  Config
		want int
	}{
		"without names changes do not count":       {Config{Expected: 3, Changes: func() []core.NodeChange { return []core.NodeChange{removed} }}, 3},
		"nothing changed":                          {listed("n1 n2 n3"), 3},
		"removed":                                  {listed("n1 n2 n3", removed), 2},
		"removed, and out of the configuration":    {listed("n1 n2", removed), 2},
		"replaced by command":                      {listed("n1 n2 n3", removed, added), 3},
		"replaced in the configuration as well":    {listed("n1 n2 n4", removed, added), 3},
		"added":                                    {listed("n1 n2 n3", added), 4},
		"removed and not out of the configuration": {listed("n1 n2 n3 n4", removed, added), 3},
	} {
		if got := c.cfg.members(); got.expected != c.want {
			t.Errorf("%s: %d nodes", name, got.expected)
		}
	}
}

func listed(names string, changes ...core.NodeChange) Config {
	list := strings.Fields(names)
	return Config{Nodes: list, Expected: len(list), Changes: func() []core.NodeChange { return changes }}
}

// TestPlanStop: the plan names every group that would have no quorum, and those that move.
func TestPlanStop(t *testing.T) {
	t.Parallel()
	p, err := PlanStop(healthy(3, 3), "n1")
	if err != nil || !p.Safe || len(p.Lost) > 0 || len(p.Moves) == 0 || p.Moves[0] != "meta" {
		t.Errorf("of three: %+v, %v", p, err)
	}
	p, err = PlanStop(lose(healthy(3, 3), "n3"), "n2")
	if err != nil || p.Safe || len(p.Lost) != 6 || p.Lost[0] != "meta" {
		t.Errorf("of two that are left: %+v, %v", p, err)
	}
	if p, err = PlanStop(lose(healthy(3, 3), "n3"), "n3"); err != nil || !p.Safe {
		t.Errorf("one that is down: %+v, %v", p, err)
	}
	if _, err := PlanStop(healthy(3, 3), "n9"); core.KindOf(err) != core.KindNotFound {
		t.Errorf("an unknown one: %v", err)
	}
}

// TestReturnedPeers: the leader of the meta group alone removes the peers of removed nodes.
func TestReturnedPeers(t *testing.T) {
	t.Parallel()
	returned := func(change func(*View)) View {
		return with(healthy(3, 3), func(v *View) {
			v.Removed = []core.NodeChange{{Name: "n4", State: core.NodeRemoved}, {Name: "n9", State: core.NodeRemoved}}
			v.Meta.OrphanPeers, v.Meta.Leader = []string{"n4", "n5"}, v.From
			change(v)
		})
	}
	for name, c := range map[string]struct {
		view View
		want string
	}{
		"the leader":           {returned(func(*View) {}), "n4"},
		"another node":         {returned(func(v *View) { v.Meta.Leader = "n2" }), ""},
		"an election":          {returned(func(v *View) { v.Meta.Leader = "" }), ""},
		"a rescue":             {returned(func(v *View) { v.Meta.RescueUntil = 1 }), ""},
		"without a majority":   {returned(func(v *View) { v.Meta.Online = v.Meta.Needed - 1 }), ""},
		"only an unknown peer": {returned(func(v *View) { v.Removed = nil }), ""},
	} {
		if got := strings.Join(ReturnedPeers(c.view), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestRetirementIsRefused: only a drained node that answers, and without which the others
// hold, is asked to stop for its removal.
func TestRetirementIsRefused(t *testing.T) {
	t.Parallel()
	drained := func(change func(*View)) View {
		return with(healthy(5, 3), func(v *View) {
			for i := range v.Buckets {
				v.Buckets[i].Leader = "n1"
				v.Buckets[i].Replicas = []Replica{{Node: "n1", State: ReplicaCurrent}, {Node: "n2", State: ReplicaCurrent}, {Node: "n3", State: ReplicaCurrent}}
			}
			for i := range v.Nodes {
				v.Nodes[i].Info.ListsNodes = true
			}
			v.Nodes[4].Conns, v.Nodes[4].Leads = 0, nil
			v.Maintenance = []core.Maintenance{{Node: "n5"}}
			change(v)
		})
	}
	for name, c := range map[string]struct {
		view View
		want string // a part of the reason; "": it is asked to stop
	}{
		"it is drained":                  {drained(func(*View) {}), ""},
		"it is not drained":              {drained(func(v *View) { v.Maintenance = nil }), "it is running"},
		"it is the asking node":          {drained(func(v *View) { v.From = "n5" }), "cannot see its own end"},
		"another node passes it on":      {drained(func(v *View) { v.Nodes[4].Relayed = true }), "does not hear it"},
		"it leads a bucket":              {drained(func(v *View) { v.Buckets[0].Leader = "n5" }), "n5 still leads"},
		"users are connected":            {drained(func(v *View) { v.Nodes[4].Conns = 1 }), "1 session of users"},
		"the meta group needs it":        {drained(func(v *View) { v.Meta.Online = v.Meta.Needed }), "no quorum once it stops"},
		"the control plane is in SQLite": {drained(func(v *View) { v.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n1"} }), "may be a SQLite file"},
		"a migration runs":               {drained(func(v *View) { v.Moving = "copying" }), "a migration is running"},
		"a node lists no names":          {drained(func(v *View) { v.Nodes[1].Info.ListsNodes = false }), "n2 does not list the nodes"},
		"a bucket needs its replica": {drained(func(v *View) {
			v.Buckets[0].Replicas = []Replica{{Node: "n1", State: ReplicaCurrent}, {Node: "n2", State: ReplicaOffline}, {Node: "n3", State: ReplicaOffline}}
		}), "would have no quorum"},
	} {
		err := RemovalRefused(c.view, "n5")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
