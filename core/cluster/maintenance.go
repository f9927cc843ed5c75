package cluster

import (
	"fmt"
	"slices"

	"unibus/core"
)

// InMaintenance returns the maintenance of a node while it lasts.
func (v View) InMaintenance(node string) (core.Maintenance, bool) {
	i := slices.IndexFunc(v.Maintenance, func(m core.Maintenance) bool { return m.Node == node })
	if i < 0 {
		return core.Maintenance{}, false
	}
	return v.Maintenance[i], true
}

// DrainUnsafe says why a node cannot be drained; nil if it can. A drained node is about
// to stop, so the others must hold when it does, with every other node in maintenance
// stopped as well. KindNotFound, KindRefused, and KindUnavailable during an election.
func DrainUnsafe(v View, name string) error {
	n, known := v.node(name)
	refuse := func(format string, args ...any) *core.Error {
		return core.Errorf(core.KindRefused, "%s cannot be drained: %s", name, fmt.Sprintf(format, args...))
	}
	_, again := v.InMaintenance(name) // it may be stopped, and get another end
	left := v.withoutMaintenance(v.members(), name)
	switch {
	case !known:
		return core.Errorf(core.KindNotFound, "no node is named %s", name).WithNext("unibusd node list")
	case !v.Clustered:
		return refuse("it is the only node").WithNext("stop unibusd on %s; no user is served meanwhile", name)
	case !n.Online && !again:
		return refuse("it does not answer, so that nothing is led or served there").WithNext("see what is known of it: unibusd node list")
	case v.Meta.Online < v.Meta.Needed:
		return refuse("the meta group has no quorum: %d of %d nodes answer, and %d are needed", v.Meta.Online, v.Meta.Size, v.Meta.Needed).
			WithNext("start the other nodes first: unibusd node list")
	case v.Meta.Leader == "":
		return core.Errorf(core.KindUnavailable, "%s cannot be drained yet: the meta group is electing a leader", name).WithOutcome(core.OutcomeNone).WithNext("try again in some seconds")
	case largestGroup(left, v.isCut) < v.Meta.Needed:
		return refuse("without it the meta group would have %d of %d nodes%s, and needs %d", len(left), v.Meta.Size, v.maintenanceOfOthers(name), v.Meta.Needed).
			WithNext("see what would end: unibusd node plan stop %s", name)
	case v.lossOf(name).store:
		return refuse("the control plane is a SQLite file that it alone serves").
			WithNext("migrate the control plane to KV first: unibusd migrate-to-kv --help")
	}
	for _, b := range v.AllBuckets() {
		left := v.withoutMaintenance(b.live(), name)
		switch {
		case b.Leader == "":
			return core.Errorf(core.KindUnavailable, "%s cannot be drained yet: %s has no leader", name, short(b.Name)).WithOutcome(core.OutcomeNone).WithNext("see the buckets: unibusd bucket list")
		case largestGroup(left, v.isCut) < b.needed() && v.SpareNode(b) == "":
			return refuse("without it %s would have %d of %d current replicas%s, and needs %d", short(b.Name), len(left), b.size(), v.maintenanceOfOthers(name), b.needed()).
				WithNext("see the replicas: unibusd bucket list")
		}
	}
	return nil
}

// withoutMaintenance leaves out a node, and those that are in maintenance.
func (v View) withoutMaintenance(nodes []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(nodes), func(n string) bool {
		_, drained := v.InMaintenance(n)
		return drained || n == name
	})
}

func (v View) maintenanceOfOthers(name string) string {
	var others []string
	for _, m := range v.Maintenance {
		if m.Node != name {
			others = append(others, m.Node)
		}
	}
	if len(others) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s %s in maintenance as well)", join(others), plural(len(others), "is", "are"))
}

// SpareNode is a node that is up, not in maintenance, and without a replica of the
// bucket; "" if there is none.
func (v View) SpareNode(b Bucket) string {
	for _, name := range v.withoutMaintenance(v.members(), "") {
		if !slices.ContainsFunc(b.Replicas, func(r Replica) bool { return r.Node == name }) {
			return name
		}
	}
	return ""
}

// Successor is the node that can lead a bucket in place of the present leader: up, not
// in maintenance, and current. "" if there is none.
func (v View) Successor(b Bucket) string {
	up := v.withoutMaintenance(v.members(), b.Leader)
	for _, r := range b.Replicas {
		if slices.Contains(up, r.Node) && r.State == ReplicaCurrent {
			return r.Node
		}
	}
	return ""
}

// MetaSuccessor is Successor for the meta group.
func (v View) MetaSuccessor() string {
	if up := v.withoutMaintenance(v.members(), v.Meta.Leader); len(up) > 0 {
		return up[0]
	}
	return ""
}

// DrainState is what is still at a node in maintenance.
type DrainState struct {
	Leads    []string `json:"leads"`          // groups: meta, or buckets
	Moving   []string `json:"replicas"`       // buckets whose replica is about to move to a spare node
	Stay     []string `json:"replicas_stay"`  // buckets whose replica stays: no other node could take it
	Sessions int      `json:"sessions"`       // of users
	Pending  string   `json:"wait,omitempty"` // what is left, as a sentence; "" once the node is drained
}

// DrainStateOf says what is still at a node.
func DrainStateOf(v View, name string) DrainState {
	n, _ := v.node(name)
	s := DrainState{Leads: []string{}, Moving: []string{}, Stay: []string{}, Sessions: n.Conns}
	if v.Meta.Leader == name {
		s.Leads = append(s.Leads, "meta")
	}
	for _, b := range v.AllBuckets() {
		if b.Leader == name {
			s.Leads = append(s.Leads, b.Name)
		}
		switch has := slices.ContainsFunc(b.Replicas, func(r Replica) bool { return r.Node == name }); {
		case has && v.SpareNode(b) == "" && b.Waiting == "" && len(b.Replicas) <= b.Wanted:
			s.Stay = append(s.Stay, b.Name)
		case has:
			s.Moving = append(s.Moving, b.Name)
		}
	}
	switch {
	case !n.Online:
	case len(s.Leads) > 0:
		s.Pending = fmt.Sprintf("%s still leads %s", name, join(shorts(s.Leads)))
	case len(s.Moving) > 0:
		s.Pending = fmt.Sprintf("the %s of %s on %s %s moving to another node", plural(len(s.Moving), "replica", "replicas"), tables(s.Moving), name, plural(len(s.Moving), "is", "are"))
	case s.Sessions > 0:
		s.Pending = fmt.Sprintf("%d %s of users on %s %s ending", s.Sessions, plural(s.Sessions, "session", "sessions"), name, plural(s.Sessions, "is", "are"))
	}
	return s
}
