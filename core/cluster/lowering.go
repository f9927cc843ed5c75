package cluster

import (
	"slices"

	"unibus/core"
)

// internalLeast is how many replicas the internal buckets keep where there are as many nodes.
const internalLeast = 3

// LoweringUnsafe says why the buckets cannot get as few replicas as that; nil if they can,
// and if no bucket has more. Every replica must be current, so that none of those that stay
// lacks anything, and no node may ask for more in its configuration: it would raise the
// replicas again at its next start. KindRefused, and KindUnavailable for what passes.
func LoweringUnsafe(v View, replicas int) error {
	more := func(than int) func(Bucket) bool { return func(b Bucket) bool { return b.Wanted > than } }
	if !slices.ContainsFunc(v.Buckets, more(replicas)) && !slices.ContainsFunc(v.InternalBuckets, more(max(replicas, internalLeast))) {
		return nil
	}
	var asking []string
	for _, n := range v.Nodes {
		switch {
		case !n.Online || n.Info == nil:
			return core.Errorf(core.KindRefused, "the replicas cannot be lowered: %s does not answer, and its configuration may ask for more", n.Name).
				WithNext("start unibusd on %s; if it is gone for good: unibusd node remove %s", n.Name, n.Name)
		case n.Info.Replicas > replicas:
			asking = append(asking, n.Name)
		}
	}
	if len(asking) > 0 {
		return core.Errorf(core.KindRefused, "the replicas cannot be lowered to %d: the configuration of %s asks for more, and a restart there would raise them again", replicas, join(asking)).
			WithNext("set replicas = %d in the configuration of %s, restart unibusd there, one node after the other, and try again", replicas, join(asking))
	}
	for _, b := range v.AllBuckets() {
		kept := replicas
		if !isTable(b.Name) {
			kept = min(max(replicas, internalLeast), v.Expected)
		}
		if err := b.unsettled(kept); err != nil {
			return err
		}
	}
	return nil
}

// unsettled is nil for a bucket that has a leader, and all of its replicas, each current. Of
// the latter fewer may be there if all of them are kept: after a rescue no node is left that
// could have the others.
func (b Bucket) unsettled(kept int) error {
	switch lacking := slices.IndexFunc(b.Replicas, func(r Replica) bool { return r.State != ReplicaCurrent }); {
	case b.Leader == "":
		return core.Errorf(core.KindUnavailable, "the replicas cannot be lowered yet: %s has no leader", b.Name).WithNext("try again in some seconds; see the buckets: unibusd bucket list")
	case lacking < 0 && len(b.Replicas) < b.Wanted && len(b.Replicas) <= kept:
		return nil
	case b.Waiting != "" || len(b.Replicas) < b.Wanted:
		return core.Errorf(core.KindUnavailable, "the replicas cannot be lowered yet: those of %s are still changing", b.Name).WithNext("try again in some seconds; see the buckets: unibusd bucket list")
	case lacking >= 0 && b.Replicas[lacking].State == ReplicaBehind:
		return core.Errorf(core.KindUnavailable, "the replicas cannot be lowered yet: the one of %s on %s is behind", b.Name, b.Replicas[lacking].Node).
			WithNext("try again once it has caught up; see the buckets: unibusd bucket list")
	case lacking >= 0:
		return core.Errorf(core.KindRefused, "the replicas cannot be lowered: the one of %s on %s is not current", b.Name, b.Replicas[lacking].Node).
			WithNext("see why: unibus-tui status")
	}
	return nil
}
