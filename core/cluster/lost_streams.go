package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"unibus/core"
)

// streamIdentities tells a stream from one of the same name that was created
// later, by the time of its creation. Nothing in unibus deletes a stream of the
// control plane, so one that disappears or is created again has lost what it held.
type streamIdentities struct {
	created map[string]core.Millis // by bucket; the first that was seen, also in an earlier run
	lost    map[string]LostStream
}

func newStreamIdentities(known map[string]core.Millis) streamIdentities {
	s := streamIdentities{created: maps.Clone(known), lost: map[string]LostStream{}}
	if s.created == nil {
		s.created = map[string]core.Millis{}
	}
	return s
}

// see notes that a stream exists.
func (s *streamIdentities) see(name string, created, now core.Millis) {
	switch known := s.created[name]; {
	case known == 0:
		s.created[name] = created
	case known == created:
		delete(s.lost, name)
	case s.lost[name].Recreated != created:
		s.lost[name] = LostStream{Name: name, Created: known, Recreated: created, Since: now}
	}
}

// miss notes that a stream which existed does not exist any more.
func (s *streamIdentities) miss(name string, now core.Millis) {
	if _, noted := s.lost[name]; !noted {
		s.lost[name] = LostStream{Name: name, Created: s.created[name], Since: now}
	}
}

// all returns the lost streams by name.
func (s *streamIdentities) all() []LostStream {
	return slices.SortedFunc(maps.Values(s.lost), func(a, b LostStream) int { return cmp.Compare(a.Name, b.Name) })
}

// identifyStreams compares the streams that exist with those that existed
// before. It returns the lost ones, and forgets their replicas: a stream that
// was deleted is not waiting for a leader.
func (m *observations) identifyStreams(meta Meta, now time.Time) []LostStream {
	at, reports := core.MillisOf(now), m.reports(now)
	for name, rs := range reports {
		for _, r := range rs {
			r.node.held[name] = true
		}
		if lead, ok := leaderReport(rs); ok && !lead.stream.Created.IsZero() {
			m.identities.see(name, core.MillisOf(lead.stream.Created), at)
		}
	}
	for name := range m.identities.created {
		if len(reports[name]) == 0 && meta.Leader != "" && m.deleted(name, now) {
			m.identities.miss(name, at)
			delete(m.buckets, name)
		}
	}
	return m.identities.all()
}

// deleted is true where every node that would hold a stream says that it does
// not. A node counts that held it earlier in the same run, or has been up for so
// long that it has read every stream which it should hold.
func (m *observations) deleted(name string, now time.Time) bool {
	holders := slices.Collect(maps.Keys(m.nodes))
	if b := m.buckets[name]; b != nil && len(b.Replicas) > 0 {
		holders = holders[:0]
		for _, r := range b.Replicas {
			if m.online(r.Node, now) {
				holders = append(holders, r.Node)
			}
		}
	} else if len(holders) < m.members.expected {
		return false
	}
	for _, h := range holders {
		n := m.nodes[h]
		if n == nil || n.streams == nil || !m.online(h, now) || n.streamsRound != m.round || !n.held[name] && n.upFor(now) < electionTime {
			return false
		}
	}
	return len(holders) > 0
}

// upFor is how long a node has been running; 0 where it did not say.
func (n *observedNode) upFor(now time.Time) time.Duration {
	if n.stats == nil {
		return 0
	}
	return now.Sub(n.stats.Stats.Start)
}

// judgeLostStreams is about data that is gone, whichever store serves: the
// record of authority, the audit and the used nonces are streams as well.
func judgeLostStreams(v View) []Finding {
	byWhat := map[bool][]string{}
	var fs []Finding
	for _, l := range v.Lost {
		if what := recordOf(l.Name); what != "" {
			fs = append(fs, lostRecord(l.Name, what, l.Recreated != 0))
			continue
		}
		byWhat[l.Recreated != 0] = append(byWhat[l.Recreated != 0], l.Name)
	}
	for _, recreated := range []bool{false, true} {
		if names := byWhat[recreated]; len(names) > 0 {
			fs = append(fs, lostStreams(names, recreated))
		}
	}
	return fs
}

// lostRecord is for a stream on which no decision depends.
func lostRecord(name, what string, recreated bool) Finding {
	text := fmt.Sprintf("The record of %s is gone: its stream was deleted while the cluster ran. Each node has a part of it in memory, and a restart forgets that.", what)
	next := "find the cause with `unibusd audit` and the logs; a node that is restarted creates the stream again"
	if recreated {
		text = fmt.Sprintf("The record of %s is gone: its stream was deleted and created again, without what it held before.", what)
		next = "find the cause with `unibusd audit` and the logs"
	}
	return Finding{Degraded, "bucket." + name, text, next}
}

func lostStreams(names []string, recreated bool) Finding {
	tables := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !isTable(n) })
	parts := shorts(slices.DeleteFunc(slices.Clone(names), isTable))
	if len(tables) == len(core.Tables()) {
		parts = append(parts, everyBucket)
	} else {
		parts = append(shorts(tables), parts...)
	}
	subject, were, held := join(parts), plural(len(names), "was", "were"), plural(len(names), "it", "they")
	text := fmt.Sprintf("Streams of the control plane are gone: %s %s deleted while the cluster ran.", subject, were)
	if recreated {
		text = fmt.Sprintf("Data of the control plane is gone: %s %s deleted and created again, without what %s held before.", subject, were, held)
	}
	return Finding{
		Critical, aboutBuckets(names), text,
		"change nothing; find the cause with `unibusd audit` and the logs, then follow docs/operations/restore.md, \"When streams were deleted\"",
	}
}

// lost is true of a stream whose loss is a finding of its own.
func (v View) lost(name string) bool {
	return slices.ContainsFunc(v.Lost, func(l LostStream) bool { return l.Name == name && l.Recreated == 0 })
}

// lostStreams notes the streams that were lost between two Views.
func (d *diff) lostStreams(old, next View) {
	for _, l := range next.Lost {
		switch {
		case slices.ContainsFunc(old.Lost, func(o LostStream) bool { return o.Name == l.Name && o.Recreated == l.Recreated }):
		case l.Recreated != 0:
			d.add(Critical, l.Name, "was deleted and created again: its earlier data is gone")
		default:
			d.add(Critical, l.Name, "was deleted")
		}
	}
}
