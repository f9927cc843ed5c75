package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// stored is a cluster whose nodes hold every bucket on their disks, and list the nodes.
func stored(v View) View {
	return with(v, func(v *View) {
		for _, b := range v.Buckets {
			v.Streams = append(v.Streams, b.Name)
		}
		for i := range v.Nodes {
			if info := v.Nodes[i].Info; info != nil {
				info.Streams, info.ListsNodes, info.Hears, info.Store = v.Streams, true, []string{}, core.BackendKV
				info.Membership = v.Removed
			}
		}
	})
}

// TestFenceIsRefused where the node runs or another one hears it, where a majority could
// remove it, and where a rescue could not follow: a fence is final.
func TestFenceIsRefused(t *testing.T) {
	t.Parallel()
	lost := func(change func(*View)) View { return with(stored(lose(healthy(3, 3), "n2", "n3")), change) }
	for name, c := range map[string]struct {
		view View
		node string
		kind core.Kind
		want string // a part of the reason; "": it may be
	}{
		"a majority is lost":            {lost(func(*View) {}), "n2", "", ""},
		"without a record":              {lost(noRecord), "n2", "", ""},
		"SQLite on a node that is left": {lost(func(v *View) { v.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n1"} }), "n2", "", ""},
		"the looking node":              {lost(func(*View) {}), "n1", core.KindRefused, "n1 cannot be fenced: it is running"},
		"a majority answers":            {stored(lose(healthy(3, 3), "n3")), "n3", core.KindRefused, "a majority of the nodes answers"},
		"its process hangs":             {lost(listens("n2", core.FaultHung)), "n2", core.KindUnavailable, "n1 finds a process that listens at 10.0.0.2:6222"},
		"its certificate has ended":     {lost(listens("n2", core.FaultCertificate)), "n2", core.KindUnavailable, "n1 finds a process"},
		"it could open a route":         {lost(listens("n2", "")), "n2", core.KindUnavailable, "n1 finds a process"},
		"a process, perhaps its own":    {lost(listens("", core.FaultClosed)), "n2", core.KindUnavailable, "n1 finds a process"},
		"the other one's process hangs": {lost(listens("n3", core.FaultHung)), "n2", "", ""},
		"its machine does not reply":    {lost(listens("n2", core.FaultTimeout)), "n2", "", ""},
		"its machine is up without it":  {lost(listens("n2", core.FaultRefused)), "n2", "", ""},
		"it has just fallen silent":     {lost(func(v *View) { v.Nodes[1].HeardMS = 4000 }), "n2", core.KindUnavailable, "its silence was watched for 4s"},
		"n1 has just started":           {lost(func(v *View) { v.Nodes[0].Started, v.Nodes[1].HeardMS = ago(3*time.Second), -1 }), "n2", core.KindUnavailable, "its silence was watched for 3s"},
		"it was never heard":            {lost(func(v *View) { v.Nodes[1].HeardMS = -1 }), "n2", "", ""},
		"another node hears it":         {lost(func(v *View) { v.Nodes[0].Info.Hears = []string{"n2"} }), "n2", core.KindUnavailable, "n2 cannot be fenced yet: n1 hears it"},
		"the nodes are not listed":      {lost(func(v *View) { v.Nodes[0].Info.ListsNodes = false }), "n2", core.KindRefused, "does not list the nodes"},
		"a bucket is on lost nodes alone": {lost(func(v *View) {
			v.Nodes[0].Info.Streams = slices.DeleteFunc(slices.Clone(v.Streams), func(s string) bool { return s == "UNIBUS_members" || s == "UNIBUS_rooms" })
		}), "n2", core.KindRefused, "none of them has a replica of rooms and members"},
		"a record that the nodes have in memory is on lost nodes alone": {lost(func(v *View) {
			v.Streams = append(slices.Clone(v.Streams), core.LastSeenBucket)
		}), "n2", "", ""},
		"a bucket was never seen":             {lost(func(v *View) { v.Streams = v.Streams[1:] }), "n2", core.KindRefused, "n1 has never seen the bucket"},
		"an earlier release":                  {lost(func(v *View) { v.Nodes[0].Info.Streams = nil }), "n2", core.KindUnavailable, "n1 did not say which streams"},
		"SQLite on a lost node":               {lost(func(v *View) { v.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n3"} }), "n2", core.KindRefused, "the SQLite file of n3"},
		"perhaps SQLite":                      {lost(func(v *View) { noRecord(v); v.Nodes[0].Info.Store = core.BackendSQLite }), "n2", core.KindRefused, "nothing says whether"},
		"a migration":                         {lost(func(v *View) { v.Moving = "copying" }), "n2", core.KindRefused, "a migration is running"},
		"two nodes claim to lead":             {lost(func(v *View) { v.Meta.Leaders = []string{"n1", "n2"} }), "n2", core.KindRefused, "each claim to lead"},
		"a new node that has no vote answers": {lost(func(v *View) { v.Meta.Members = []string{"n1", "n2", "n3"} }), "n2", "", ""},
	} {
		unsafe(t, name, FenceUnsafe(c.view, c.node), c.kind, c.want)
	}
}

// listens has n1 find something at an address.
func listens(owner string, fault core.RouteFault) func(*View) {
	return func(v *View) {
		v.Nodes[0].Info.Routes = []Route{{Addr: "10.0.0.2:6222", Node: owner, Fault: fault}}
	}
}

func noRecord(v *View) {
	v.Authority = nil
	for i := range v.Nodes {
		v.Nodes[i].Info.Journal = nil
	}
}

func unsafe(t *testing.T, name string, err error, kind core.Kind, want string) {
	t.Helper()
	switch {
	case err == nil && want == "":
	case err == nil || want == "" || core.KindOf(err) != kind || !strings.Contains(err.Error(), want) || core.AsError(err).Next == "":
		t.Errorf("%s: %v", name, err)
	}
}

// TestRescueIsRefused without the number of the nodes that are left, and with any other; while
// a silent node is not fenced, and before each node that is left knows it.
func TestRescueIsRefused(t *testing.T) {
	t.Parallel()
	both := func(change func(*View)) View { return with(stored(fenced("n2", "n3")), change) }
	five := func(change func(*View)) View {
		v := lose(healthy(5, 5), "n3", "n4", "n5")
		v.Nodes, v.Expected, v.Meta.OrphanPeers = v.Nodes[:2], 2, []string{"n3", "n4", "n5"}
		for _, name := range v.Meta.OrphanPeers {
			v.Removed = append(v.Removed, core.NodeChange{Name: name, State: core.NodeRemoved, By: "ana"})
		}
		return with(stored(v), change)
	}
	for name, c := range map[string]struct {
		view   View
		quorum int
		kind   core.Kind
		want   string
	}{
		"one of three":             {both(func(*View) {}), 1, "", ""},
		"two of five":              {five(func(*View) {}), 2, "", ""},
		"no number":                {both(func(*View) {}), 0, core.KindInvalid, "its number was not given. 1 of 3 members are left (n1)"},
		"a negative number":        {both(func(*View) {}), -1, core.KindInvalid, "not lowered to -1"},
		"more":                     {both(func(*View) {}), 2, core.KindInvalid, "not lowered to 2"},
		"less, which could be two": {five(func(*View) {}), 1, core.KindInvalid, "not lowered to 1: 2 of 5 members are left (n1 and n2)"},
		"one is not fenced":        {stored(fenced("n3")), 1, core.KindRefused, "n2 does not answer, and is not fenced"},
		"none is fenced":           {stored(lose(healthy(3, 3), "n2", "n3")), 1, core.KindRefused, "n2 and n3 do not answer, and are not fenced"},
		"a node does not know it":  {five(func(v *View) { v.Nodes[1].Info.Membership = nil }), 2, core.KindUnavailable, "n2 has not written down that n3 is fenced"},
		"it is not on disk":        {five(func(v *View) { v.Nodes[1].Info.MembershipUnsaved = "no space" }), 2, core.KindUnavailable, "n2 has not written down"},
		"a majority answers":       {stored(healthy(3, 3)), 3, core.KindRefused, "there is nothing to rescue"},
		"the rescue was cut short": {five(func(v *View) { v.Meta.Leader, v.Meta.Needed, v.Meta.OrphanPeers = "n1", 2, []string{"n5"} }), 2, "", ""},
		"a new node has no vote": {both(func(v *View) {
			v.Meta.Members = []string{"n1", "n2", "n3"}
			v.Nodes = append(v.Nodes, Node{Name: "n4", Online: true, Info: &Info{Name: "n4"}})
		}), 1, "", ""},
		"a fenced node runs again":  {both(listens("n2", core.FaultHung)), 1, core.KindUnavailable, "n2 cannot be given up"},
		"no other server was heard": {both(func(v *View) { v.Meta.NoRoute = true }), 1, core.KindRefused, "does nothing in a group before it does"},
		"the events were lost":      {both(func(v *View) { v.Streams = append(v.Streams, "UNIBUS_events") }), 1, "", ""},
		"a bucket was lost since":   {both(func(v *View) { v.Nodes[0].Info.Streams = []string{} }), 1, core.KindRefused, "none of them has a replica"},
	} {
		unsafe(t, name, RescueUnsafe(c.view, c.quorum), c.kind, c.want)
	}
}
