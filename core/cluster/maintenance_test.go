package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestDrainIsRefused: a node is not drained where the others would not hold once it
// stops, with every node in maintenance stopped as well. The reason names the group.
func TestDrainIsRefused(t *testing.T) {
	t.Parallel()
	three := func() View { return withInternal(healthy(3, 3), 3) }
	for name, c := range map[string]struct {
		view  View
		drain string
		want  string // a part of the reason; "": it is drained
	}{
		"three nodes":                  {three(), "n2", ""},
		"the meta leader":              {three(), "n1", ""},
		"again":                        {drained(three(), "n2"), "n2", ""},
		"again, while it is stopped":   {drained(lose(handedOver(three(), "n3"), "n3"), "n3"), "n3", ""},
		"an unknown one":               {three(), "n9", "no node is named n9"},
		"the only node":                {alone(), "n1", "it is the only node"},
		"of two":                       {healthy(2, 2), "n2", "without it the meta group would have 1 of 2 nodes, and needs 2"},
		"one that is down":             {lose(three(), "n3"), "n3", "it does not answer"},
		"while another is down":        {with(lose(three(), "n3"), func(v *View) { v.Meta.Leader = "n1" }), "n2", "without it the meta group would have 1 of 3 nodes, and needs 2"},
		"while another is drained":     {drained(three(), "n3"), "n2", "would have 1 of 3 nodes (n3 is in maintenance as well), and needs 2"},
		"two of five":                  {drained(withInternal(healthy(5, 5), 5), "n3"), "n2", ""},
		"three of five":                {drained(withInternal(healthy(5, 5), 5), "n3", "n4"), "n2", "(n3 and n4 are in maintenance as well), and needs 3"},
		"no quorum":                    {lose(three(), "n2", "n3"), "n1", "the meta group has no quorum: 1 of 3"},
		"nobody leads":                 {with(three(), func(v *View) { v.Meta.Leader = "" }), "n2", "electing a leader"},
		"a bucket has no leader":       {with(three(), func(v *View) { v.Buckets[1].Leader = "" }), "n2", "rooms has no leader"},
		"the SQLite node":              {onSQLite(three(), true), "n1", "SQLite file that it alone serves"},
		"another than the SQLite node": {onSQLite(three(), true), "n2", ""},
		"a replica is behind":          {with(three(), func(v *View) { v.Buckets[1].Replicas[2] = Replica{"n3", ReplicaBehind, 5000} }), "n2", "without it rooms would have 1 of 3 current replicas, and needs 2"},
		"a replica is behind, a spare": {with(withInternal(healthy(4, 3), 3), func(v *View) { v.Buckets[1].Replicas[2] = Replica{"n3", ReplicaBehind, 5000} }), "n2", ""},
	} {
		switch err := DrainUnsafe(c.view, c.drain); {
		case err == nil && c.want == "":
		case err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) || core.AsError(err).Next == "":
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDrainState: the leaders and replicas that a node still has are told in the order in which
// they leave.
func TestDrainState(t *testing.T) {
	t.Parallel()
	v := drained(withInternal(healthy(4, 3), 3), "n1")
	s := DrainStateOf(v, "n1")
	if !slices.Contains(s.Leads, "meta") || !strings.Contains(s.Pending, "n1 still leads meta") || len(s.Stay) > 0 || len(s.Moving) != 9 {
		t.Errorf("before: %+v", s)
	}
	v.Meta.Leader = "n2"
	for _, some := range [][]Bucket{v.Buckets, v.InternalBuckets} {
		for i := range some {
			some[i].Leader = v.Successor(some[i])
		}
	}
	if s = DrainStateOf(v, "n1"); len(s.Leads) > 0 || !strings.Contains(s.Pending, "are moving to another node") {
		t.Errorf("leaders left: %+v", s)
	}
	for _, some := range [][]Bucket{v.Buckets, v.InternalBuckets} {
		for i := range some {
			some[i].Replicas[0].Node = "n4"
		}
	}
	v.Nodes[0].Conns = 1
	if s = DrainStateOf(v, "n1"); s.Pending != "1 session of users on n1 is ending" {
		t.Errorf("replicas left: %+v", s)
	}
	v.Nodes[0].Conns = 0
	if s = DrainStateOf(v, "n1"); s.Pending != "" || len(s.Stay) > 0 {
		t.Errorf("all left: %+v", s)
	}
	if s = DrainStateOf(handedOver(healthy(3, 3), "n3"), "n3"); s.Pending != "" || len(s.Stay) != 5 {
		t.Errorf("without a spare node replicas stay: %+v", s)
	}
}

// TestMaintenanceMerges: of two decisions about one node the later one counts, in
// whatever order they come, and a maintenance ends by itself.
func TestMaintenanceMerges(t *testing.T) {
	t.Parallel()
	first := core.Maintenance{Node: "n2", Since: ago(time.Hour), Until: ago(-time.Hour), At: ago(time.Hour)}
	ended := first
	ended.Ended, ended.At = true, ago(time.Minute)
	if !ended.Supersedes(first) || first.Supersedes(ended) || first.Supersedes(first) {
		t.Error("the later decision does not count")
	}
	if !first.IsActive(ago(0)) || ended.IsActive(ago(0)) || first.IsActive(ago(-2*time.Hour)) {
		t.Error("it lasts too long, or not long enough")
	}
	for _, d := range []time.Duration{0, -time.Hour, core.MaxMaintenance + time.Second} {
		if core.KindOf(core.CheckMaintenance(d)) != core.KindInvalid {
			t.Errorf("%s is accepted", d)
		}
	}
}

// TestMaintenanceSaysItsZone: operators in several zones read the same time, with its zone,
// and with the day where it is another one.
func TestMaintenanceSaysItsZone(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 28, 22, 57, 0, 0, time.UTC)
	m := core.Maintenance{Node: "n2", By: "ana", Since: core.MillisOf(since), Until: core.MillisOf(since.Add(2 * time.Hour))}
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("EST", -5*3600), time.FixedZone("JST", 9*3600)} {
		if got := MaintenanceText(m, since.In(zone)); got != "n2 is in maintenance by ana since 22:57 UTC (until 2026-11-29 00:57 UTC)" {
			t.Errorf("in %s: %s", zone, got)
		}
	}
}
