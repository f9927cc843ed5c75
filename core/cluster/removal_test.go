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
	n3 := func(change func(*View)) View { return with(lose(healthy(3, 3), "n3"), change) }
	down := n3(func(*View) {})
	for name, c := range map[string]struct {
		view   View
		remove string
		want   string // a part of the reason; "": it is removed
	}{
		"it is down":                {down, "n3", ""},
		"it is the asking node":     {down, down.From, "it is running"},
		"it answers":                {down, "n2", "n2 cannot be removed: it is running"},
		"it has the database":       {n3(func(v *View) { v.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n3"} }), "n3", "SQLite file on it"},
		"a migration is running":    {n3(func(v *View) { v.Moving = "copying" }), "n3", "a migration is running"},
		"the majority is lost":      {lose(healthy(3, 3), "n2", "n3"), "n3", "1 of 3 nodes answer, and 2 are needed"},
		"nobody leads":              {n3(func(v *View) { v.Meta.Leader = "" }), "n3", "electing a leader"},
		"a bucket has no quorum":    {n3(func(v *View) { v.Buckets[1].Replicas[1] = Replica{"n2", ReplicaBehind, 5000} }), "n3", "rooms would have no quorum: 1 of its 3"},
		"the only replica is on it": {n3(func(v *View) { v.Buckets[0].Replicas = v.Buckets[0].Replicas[2:] }), "n3", "users would have no quorum"},
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
		seen string
		want int
	}{
		"nothing changed":                       {Config{Expected: 3}, "n1 n2 n3", 3},
		"one is down":                           {Config{Expected: 3}, "n1 n2", 3},
		"removed":                               {changed(3, removed), "n1 n2", 2},
		"removed, and out of the configuration": {changed(2, removed), "n1 n2", 2},
		"replaced by command":                   {changed(3, removed, added), "n1 n2 n4", 3},
		"replaced in the configuration as well": {changed(3, removed), "n1 n2 n4", 3},
		"added":                                 {changed(3, added), "n1 n2 n3", 4},
		"a removed one answers":                 {changed(3, removed), "n1 n2 n3", 2},
		"listed, removed":                       {listed("n1 n2 n3", removed), "n1 n2", 2},
		"listed, replaced by command":           {listed("n1 n2 n3", removed, added), "n1", 3},
		"listed, replaced by command and in configuration": {listed("n1 n2 n4", removed, added), "n1", 3},
	} {
		if got := c.cfg.members(strings.Fields(c.seen)); got.expected != c.want {
			t.Errorf("%s: %d nodes", name, got.expected)
		}
	}
}

func changed(expected int, changes ...core.NodeChange) Config {
	return Config{Expected: expected, Changes: func() []core.NodeChange { return changes }}
}

func listed(names string, changes ...core.NodeChange) Config {
	cfg := changed(len(strings.Fields(names)), changes...)
	cfg.Nodes = strings.Fields(names)
	return cfg
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
