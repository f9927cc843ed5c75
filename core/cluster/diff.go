package cluster

import (
	"fmt"
	"slices"

	"unibus/core"
)

// Diff says what happened between two Views of one observer. The first View of
// all has nothing before it, so that nothing has happened.
func Diff(old, next View) []Event {
	if old.At == 0 {
		return nil
	}
	d := diff{at: next.At}
	d.nodes(old, next)
	d.cuts(old, next)
	d.unknown(old, next)
	d.duplicateNames(old, next)
	d.meta(old.Meta, next.Meta)
	d.buckets(slices.Concat(old.Buckets, old.InternalBuckets), slices.Concat(next.Buckets, next.InternalBuckets), next.lost)
	d.lostStreams(old, next)
	d.authority(old, next)
	d.diskComparison(old, next)
	return d.events
}

// diff gathers events.
type diff struct {
	at     core.Millis
	events []Event
}

func (d *diff) add(l Level, about, format string, args ...any) {
	d.events = append(d.events, Event{At: d.at, Level: l, About: about, Text: fmt.Sprintf(format, args...)})
}

// elected adds an election, which is counted.
func (d *diff) elected(leader, format string, args ...any) {
	d.add(Healthy, leader, format, args...)
	d.events[len(d.events)-1].Kind = EventElection
}

func (d *diff) nodes(old, next View) {
	for _, n := range next.Nodes {
		was, known := old.node(n.Name)
		switch {
		case !known && n.Online:
			d.add(Healthy, n.Name, "answers for the first time")
		case known && was.Online && !n.Online:
			d.add(Degraded, n.Name, "does not answer")
		case known && !was.Online && n.Online && was.HeardMS < 0:
			d.add(Healthy, n.Name, "answers for the first time")
		case known && !was.Online && n.Online:
			d.add(Healthy, n.Name, "answers again")
		case known && was.ID != "" && n.ID != was.ID:
			d.add(Note, n.Name, "was restarted")
		}
		if known && n.Off && !was.Off {
			d.add(Degraded, n.Name, "has turned JetStream off, as it does where a disk is full")
		}
	}
	for _, n := range old.Nodes {
		if _, still := next.node(n.Name); !still && !slices.ContainsFunc(next.Unknown, func(u UnknownServer) bool { return u.Name == n.Name }) {
			d.add(Note, n.Name, "is no longer part of the cluster")
		}
	}
}

func (d *diff) meta(old, next Meta) {
	switch {
	case len(next.Leaders) > 1 && len(old.Leaders) < 2:
		d.add(Critical, "meta", "two leaders: %s", join(next.Leaders))
	case next.Leader == old.Leader:
	case next.Leader == "" && next.Online < next.Needed:
		d.add(Critical, "meta", "lost its majority: %d of %d answer, %d needed; %s was the last leader", next.Online, next.Size, next.Needed, old.Leader)
	case next.Leader == "":
		d.add(Degraded, "meta", "has no leader; %s was the last", old.Leader)
	default:
		d.elected(next.Leader, "leads the meta group%s", previousLeader(old.Leader, old.Last, next.Leader))
	}
	for _, g := range next.OrphanPeers {
		if !slices.Contains(old.OrphanPeers, g) {
			d.add(Degraded, "meta", "%s counts in the quorum and is not a configured node", g)
		}
	}
}

// previousLeader names the leader until now, where that was another node.
func previousLeader(old, last, now string) string {
	if old == "" {
		old = last
	}
	if old == "" || old == now {
		return ""
	}
	return ", was " + old
}

func (d *diff) buckets(old, next []Bucket, lost func(name string) bool) {
	was := map[string]Bucket{}
	for _, b := range old {
		was[b.Name] = b
	}
	for _, b := range next {
		o, known := was[b.Name]
		delete(was, b.Name)
		if !known {
			d.add(Note, b.Name, "created with %d %s", b.Wanted, plural(b.Wanted, "replica", "replicas"))
			continue
		}
		d.bucket(o, b)
	}
	for _, b := range old {
		if _, missing := was[b.Name]; missing && !lost(b.Name) {
			d.add(Critical, b.Name, "is not there any more")
		}
	}
}

func (d *diff) bucket(old, next Bucket) {
	switch next.Leader {
	case old.Leader:
	case "":
		d.add(Degraded, next.Name, "has no leader; %s was the last", old.Leader)
	default:
		d.elected(next.Leader, "leads %s%s", short(next.Name), previousLeader(old.Leader, "", next.Leader))
	}
	if next.Wanted != old.Wanted {
		d.add(Note, next.Name, "scaled from %d to %d replicas", old.Wanted, next.Wanted)
	}
	if next.Waiting != old.Waiting && next.Waiting != "" {
		d.add(Note, next.Name, "waits: %s", next.Waiting)
	}
	for _, r := range next.Replicas {
		i := slices.IndexFunc(old.Replicas, func(o Replica) bool { return o.Node == r.Node })
		if i < 0 {
			d.add(Note, r.Node, "holds a replica of %s", short(next.Name))
			continue
		}
		d.replica(next, old.Replicas[i], r)
	}
	for _, r := range old.Replicas {
		if !slices.ContainsFunc(next.Replicas, func(n Replica) bool { return n.Node == r.Node }) {
			d.add(Note, r.Node, "holds no replica of %s any more", short(next.Name))
		}
	}
}

// replica notes how a replica stands now; a tolerated state is not an event.
func (d *diff) replica(b Bucket, old, next Replica) {
	o, n := old.settled(), next.settled()
	switch {
	case o == n, n == ReplicaUnknown:
	case n == ReplicaCurrent && o != ReplicaUnknown:
		d.add(Healthy, next.Node, "its replica of %s is current", short(b.Name))
	case n == ReplicaBehind:
		d.add(Note, next.Node, "its replica of %s is %d operations behind", short(b.Name), next.Lag)
	case n == ReplicaOffline:
		d.add(Degraded, next.Node, "its replica of %s is offline", short(b.Name))
	}
}

// settled is the state without the lag of what is on its way.
func (r Replica) settled() ReplicaState {
	if r.State == ReplicaBehind && r.Lag <= lagTolerated {
		return ReplicaCurrent
	}
	return r.State
}

// migrationEnd is the outcome of a migration that is no longer reported. Its last reported state
// may be some states back, and the record of authority may be seen a moment later.
func migrationEnd(moving string, now *core.Authority) string {
	switch kv := now != nil && now.Backend == core.BackendKV; {
	case kv && moving != "rollback":
		return "has cut over to KV"
	case now != nil && now.Backend == core.BackendSQLite && moving == "rollback":
		return "was rolled back to SQLite"
	}
	return "has left " + moving
}

func (d *diff) authority(old, next View) {
	switch a, b := old.Authority, next.Authority; {
	case b == nil && a == nil, a != nil && b != nil && *a == *b:
	case b == nil:
		d.add(Degraded, "authority", "cannot be read; it was %s", authorityText(*a))
	case a == nil:
		d.add(Note, "authority", "is %s", authorityText(*b))
	default:
		d.add(Healthy, "authority", "is %s, was %s", authorityText(*b), authorityText(*a))
	}
	switch {
	case old.Moving == next.Moving:
	case next.Moving == "":
		d.add(Note, "migration", "%s", migrationEnd(old.Moving, next.Authority))
	default:
		d.add(Note, "migration", "is at %s", next.Moving)
	}
	if old.Serving.Backend != next.Serving.Backend && old.Serving.Backend != "" {
		d.add(Note, next.From, "serves %s, and served %s before", next.Serving.Backend.Served(), old.Serving.Backend.Served())
	}
}
