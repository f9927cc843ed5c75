package cluster

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestObstacles: a fault that keeps a migration from writing is found while SQLite still counts, and
// nothing else is.
func TestObstacles(t *testing.T) {
	t.Parallel()
	before := func() View { return onSQLite(healthy(3, 3), false) }
	for name, c := range map[string]struct {
		view View
		want []string // a word of each, the worst first not demanded
	}{
		"well":               {before(), nil},
		"alone":              {alone(), nil},
		"no buckets yet":     {with(before(), func(v *View) { v.Buckets = nil }), nil},
		"one replica each":   {onSQLite(healthy(3, 1), false), nil},
		"looks from outside": {with(before(), func(v *View) { v.Nodes[0].Info.Loopback, v.Nodes[0].Info.TLS = false, false }), nil},
		"a little behind": {with(before(), func(v *View) {
			v.Buckets[0].Replicas[1] = Replica{Node: "n2", State: ReplicaBehind, Lag: 1}
		}), nil},
		"no meta leader": {with(before(), func(v *View) { v.Meta.Leader, v.Meta.Leaders, v.Meta.Since = "", nil, ago(time.Minute) }), []string{"no leader"}},
		"two leaders":    {with(before(), func(v *View) { v.Meta.Leaders = []string{"n1", "n2"} }), []string{"each claim to lead"}},
		"no majority":    {lose(before(), "n2", "n3"), []string{"n2 and n3 do not answer"}},
		"bucket without a leader": {with(before(), func(v *View) {
			v.Buckets[1].Leader, v.Buckets[1].Since = "", ago(time.Minute)
		}), []string{"rooms has no leader"}},
		"stream beside without a leader": {with(before(), func(v *View) {
			v.InternalBuckets = []Bucket{{Name: "UNIBUS_control", Wanted: 3, Since: ago(time.Minute)}}
		}), []string{"control has no leader"}},
		"behind": {with(before(), func(v *View) {
			v.Buckets[0].Replicas[1] = Replica{Node: "n2", State: ReplicaBehind, Lag: 5000}
		}), []string{"5000 operations behind"}},
		"a path cut": {before().cutBoth("n1", "n3", core.FaultTimeout, "no reply"), []string{"n1 and n3 do not hear each other"}},
		"offline": {with(before(), func(v *View) {
			v.Buckets[0].Replicas[2] = Replica{Node: "n3", State: ReplicaOffline}
		}), []string{"n3 answers, but n1"}},
	} {
		record := c.view.Authority
		got := Obstacles(c.view, noon)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i, word := range c.want {
			if !strings.Contains(got[i].Text, word) || got[i].Next == "" || got[i].Level == Note {
				t.Errorf("%s: %+v, want %q", name, got[i], word)
			}
		}
		if c.view.Authority != record || record != nil && record.Backend == core.BackendKV {
			t.Errorf("%s: the view was changed", name)
		}
	}
}
