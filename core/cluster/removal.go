package cluster

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// IsKnown is true for the name of a node, of one that was removed, and of a member of the
// meta group that is none.
func IsKnown(v View, name string) bool {
	_, ok := v.node(name)
	return ok || slices.ContainsFunc(v.Removed, func(c core.NodeChange) bool { return c.Name == name }) || slices.Contains(v.Meta.OrphanPeers, name) || slices.ContainsFunc(v.Meta.OrphanPeers, func(p string) bool { return p == "peer "+PeerID(name) })
}

// RemovalUnsafe says why a node cannot be removed for good; nil if it can. The node must
// be silent, and every group must be able to agree on the removal without it. The control
// plane must be in KV by its record: else the only copy may be a file on that node.
// KindRefused, and KindUnavailable during an election.
func RemovalUnsafe(v View, name string) error {
	n, _ := v.node(name)
	refuse := func(format string, args ...any) *core.Error {
		return core.Errorf(core.KindRefused, "%s cannot be removed: %s", name, fmt.Sprintf(format, args...))
	}
	switch {
	case name == v.From || n.Online:
		return refuse("it is running").WithNext("stop unibusd on %s first, or have it stop by itself once it is drained: unibusd node drain %s", name, core.ShellQuote(name))
	case v.Meta.Online < v.Meta.Needed:
		return refuse("the meta group has no quorum: %d of %d nodes answer, and %d are needed", v.Meta.Online, v.Meta.Size, v.Meta.Needed).
			WithNext("start the other nodes first: `unibusd node list` shows them")
	}
	if err := v.changeUnsafe(name, refuse); err != nil {
		return err
	}
	if err := v.heardByOthers(name, "removed"); err != nil {
		return err
	}
	if err := v.runsStill(name, refuse); err != nil {
		return err
	}
	return bucketsUnsafe(v, name, refuse)
}

// RemovalRefused says why `node remove` cannot remove a node; nil if it can: one that is
// silent, or one that is drained and stops when it is asked to.
func RemovalRefused(v View, name string) error {
	if RunsDrained(v, name) {
		return RetirementUnsafe(v, name)
	}
	return RemovalUnsafe(v, name)
}

// RunsDrained is true of a node that answers, and is in maintenance.
func RunsDrained(v View, name string) bool {
	n, _ := v.node(name)
	_, drained := v.InMaintenance(name)
	return n.Online && drained
}

// RetirementUnsafe says why a node that runs cannot be asked to stop for its removal; nil if
// it can. It must be drained, and answer the asking node itself: one that hangs or is cut off
// cannot confirm that it stops. The others must hold without it. The errors are those of
// RemovalUnsafe.
func RetirementUnsafe(v View, name string) error {
	n, _ := v.node(name)
	refuse := func(format string, args ...any) *core.Error {
		return core.Errorf(core.KindRefused, "%s cannot be removed: %s", name, fmt.Sprintf(format, args...))
	}
	state := DrainStateOf(v, name)
	switch {
	case !RunsDrained(v, name):
		return refuse("it is not drained").WithNext("unibusd node drain %s", core.ShellQuote(name))
	case name == v.From:
		return refuse("it is the node that was asked, and cannot see its own end").WithNext("ask another node, with `--server`")
	case !n.Reachable() || n.Info == nil:
		return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: %s does not hear it, and it cannot confirm that it stops", name, v.From).
			WithNext("stop unibusd on %s, and try again in some seconds", name)
	case len(state.Leads) > 0 || state.Pending != "":
		return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: %s", name, state.Pending).WithOutcome(core.OutcomeNone).WithNext("wait until it is drained: unibusd node list")
	case v.Meta.Online-1 < v.Meta.Needed:
		return refuse("the meta group would have no quorum once it stops: %d of %d nodes answer, and %d are needed", v.Meta.Online, v.Meta.Size, v.Meta.Needed).
			WithNext("start the other nodes first: `unibusd node list` shows them")
	}
	for _, other := range v.Nodes {
		if other.Online && other.Info != nil && !other.Info.ListsNodes {
			return notListed(name, "removed", other.Name)
		}
	}
	if err := v.changeUnsafe(name, refuse); err != nil {
		return err
	}
	return bucketsUnsafe(v, name, refuse)
}

// changeUnsafe is nil where the cluster as a whole lets a node be removed now.
func (v View) changeUnsafe(name string, refuse func(string, ...any) *core.Error) error {
	switch {
	case v.Meta.Leader == "":
		return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: the meta group is electing a leader", name).WithOutcome(core.OutcomeNone).WithNext("try again in some seconds")
	case !v.provenOnKV():
		return refuse("the control plane may be a SQLite file on it, and that would be the only copy").
			WithNext("migrate the control plane to KV first: unibusd migrate-to-kv --help")
	case v.Moving != "":
		return refuse("a migration is running (%s)", v.Moving).WithNext("see how far it is: unibusd migration status")
	case len(v.Buckets) < len(core.Tables()):
		return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: not every bucket was seen", name).WithNext("see the buckets: unibusd bucket list")
	}
	return nil
}

func notListed(name, verb, node string) error {
	return core.Errorf(core.KindRefused, "%s cannot be %s: the configuration of %s does not list the nodes, so that it would not know how many are left", name, verb, node).
		WithNext("set nodes = [\"n1\", …] there, and restart it")
}

// runsStill is nil unless a process of the node runs that no node hears: it hangs, or a
// certificate cuts it off. It has its replicas, and comes back once that is mended.
func (v View) runsStill(name string, refuse func(string, ...any) *core.Error) error {
	n, known := v.node(name)
	s := n.silence()
	if s.fault == "" && len(v.silent()) == 1 { // what listens at an address that was never reached is the node's
		for _, nameless := range v.silences([]string{name}) {
			s = nameless
		}
	}
	switch s.fault {
	case faultAccepted:
		return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: a moment ago %s could open a route to %s", name, join(s.by), join(s.addrs)).
			WithNext("stop unibusd on %s, and try again in some seconds", name)
	case core.FaultHung:
		return refuse("its process hangs (%s accepts connections and says nothing to %s), and still has its replicas", join(s.addrs), join(s.by)).
			WithNext("restart unibusd on %s; to remove it all the same, stop it there first", name)
	case core.FaultCertificate, core.FaultOwnCertificate:
		return refuse("it runs, and a certificate keeps %s from %s (%s)", join(s.by), join(s.addrs), s.detail).
			WithNext("renew the certificate, as `unibus-tui status` says; to remove it all the same, stop unibusd on %s first", name)
	}
	if known && s.fault == "" && n.HeardMS >= 0 && n.HeardMS < removeAfter.Milliseconds() {
		return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: it fell silent a moment ago, and its addresses are tried for %s", name, removeAfter).
			WithNext("try again in some seconds")
	}
	return nil
}

// removeAfter is how long after its last answer it is known whether a process of a node hangs: it
// counts as silent after four seconds, its addresses are tried every two seconds and for three, and
// the result is told within one.
const removeAfter = 12 * time.Second

// heardByOthers is nil where every node that answers says that it does not hear the named
// one, which may be cut off from the looking node alone. A node that does not say what it
// hears is of a release that would let a removed one back in.
func (v View) heardByOthers(name, verb string) error {
	for _, n := range v.Nodes {
		switch {
		case !n.Online:
		case n.Info == nil || n.Info.Hears == nil:
			return core.Errorf(core.KindUnavailable, "%s cannot be %s yet: %s did not say which nodes it hears", name, verb, n.Name).
				WithNext("try again; all nodes must run this release")
		case slices.Contains(n.Info.Hears, name):
			return core.Errorf(core.KindUnavailable, "%s cannot be %s yet: %s hears it", name, verb, n.Name).
				WithNext("stop unibusd on %s, and try again in some seconds; if it is stopped, look for another one of that name", name)
		case !n.Info.ListsNodes:
			return notListed(name, verb, n.Name)
		}
	}
	return nil
}

// provenOnKV is true where the record says that the control plane is KV. A cluster that
// began with KV has no record: there the looking node must serve it, and no node, the
// other one included, may have been seen to serve a file.
func (v View) provenOnKV() bool {
	if v.Authority != nil && v.Authority.Backend != core.BackendNone {
		return v.Authority.Backend == core.BackendKV
	}
	servesFile := func(n Node) bool { return v.servingOf(n).Backend == core.BackendSQLite }
	return v.Serving.Backend == core.BackendKV && !slices.ContainsFunc(v.Nodes, servesFile)
}

func bucketsUnsafe(v View, name string, refuse func(string, ...any) *core.Error) error {
	for _, b := range v.AllBuckets() {
		current := 0
		for _, r := range b.Replicas {
			if r.Node != name && r.State != ReplicaUnknown && r.takesPart() {
				current++
			}
		}
		switch {
		case b.Leader == "":
			return core.Errorf(core.KindUnavailable, "%s cannot be removed yet: %s has no leader", name, short(b.Name)).WithNext("see the buckets: unibusd bucket list")
		case current == 0:
			return refuse("the only copy of %s is on it", short(b.Name)).WithNext("start %s again", name)
		case current < b.needed():
			return refuse("%s would have no quorum: %d of its %d replicas are current on other nodes, and %d are needed", short(b.Name), current, b.size(), b.needed()).
				WithNext("wait until the other replicas are current: `unibusd bucket list` shows them")
		}
	}
	return nil
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
		if current, possible := b.currentReplicas(), min(b.Wanted, v.Meta.Online); current < possible {
			return fmt.Sprintf("%s has %d of %d replicas current on the other nodes", short(b.Name), current, possible)
		}
	}
	return ""
}

// currentReplicas counts the replicas that have everything. One that has nothing yet is
// behind by the whole bucket, which is little where the bucket is small: lagTolerated is
// for replicas that were current before.
func (b Bucket) currentReplicas() int {
	n := 0
	for _, r := range b.Replicas {
		if r.State == ReplicaCurrent {
			n++
		}
	}
	return n
}

// ReturnedPeers are removed nodes that count in the meta group again, as its leader sees it: it
// removes them. None on any other node, and during a rescue, whose command removes them.
func ReturnedPeers(v View) []string {
	if v.Meta.Leader != v.From || v.From == "" || v.Meta.RescueUntil != 0 || !v.hasQuorum() {
		return nil
	}
	return v.Fenced()
}
