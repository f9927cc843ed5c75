package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// report is what one replica says of a stream.
type report struct {
	node   *observedNode
	stream stream
}

// buildBuckets returns the five and what is beside them.
func (m *observations) buildBuckets(now time.Time) (five, beside []Bucket) {
	reports := m.reports(now)
	for name, rs := range reports {
		b := m.buildBucket(name, rs, now)
		m.buckets[name] = &b
	}
	for name, b := range m.buckets {
		if _, ok := reports[name]; ok {
			continue
		}
		if m.wasDeleted(*b, now) {
			delete(m.buckets, name)
			continue
		}
		silent := m.leaderless(*b, nil, now)
		silent.Creating = false
		m.buckets[name] = &silent
	}
	for _, t := range core.Tables() {
		if b := m.buckets[t.Bucket()]; b != nil {
			five = append(five, *b)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.buckets)) {
		if !isTable(name) {
			beside = append(beside, *m.buckets[name])
		}
	}
	if five == nil {
		five = []Bucket{}
	}
	return five, beside
}

func isTable(bucket string) bool {
	return slices.ContainsFunc(core.Tables(), func(t core.Table) bool { return t.Bucket() == bucket })
}

// reports sorts what the answering nodes say by bucket.
func (m *observations) reports(now time.Time) map[string][]report {
	out := map[string][]report{}
	for _, n := range m.answering(now) {
		if n.streams == nil || now.Sub(n.streamsAt) > m.cfg.lost {
			continue
		}
		for _, a := range n.streams.Data.Accounts {
			if a.Name != streamAccount {
				continue
			}
			for _, s := range a.Streams {
				name := strings.TrimPrefix(s.Name, "KV_")
				if strings.HasPrefix(name, "UNIBUS_") {
					out[name] = append(out[name], report{n, s})
				}
			}
		}
	}
	return out
}

// wasDeleted is true where every node that held the bucket answers, and none has it.
func (m *observations) wasDeleted(b Bucket, now time.Time) bool {
	for _, r := range b.Replicas {
		n := m.nodes[r.Node]
		if n == nil || n.streams == nil || !m.online(r.Node, now) || n.streamsRound != m.round {
			return false
		}
	}
	return true
}

func (m *observations) buildBucket(name string, rs []report, now time.Time) Bucket {
	old := m.buckets[name]
	b := Bucket{Name: name}
	if old != nil {
		b = *old
	}
	lead, ok := leaderReport(rs)
	if !ok {
		for _, r := range rs {
			b.updateFigures(r.stream)
		}
		b.Loss, b.Creating = m.lossOf(b, rs), !m.led[name] && createdWithin(electionTime, rs, now)
		return m.leaderless(b, rs, now)
	}
	m.led[name], b.Loss, b.Creating = true, nil, false
	b.Keys, b.Bytes, b.LastSeq = 0, 0, 0
	b.updateFigures(lead.stream)
	b.Waiting = lead.stream.waiting()
	b.Replicas = []Replica{{Node: lead.node.name, State: ReplicaCurrent}}
	for _, p := range lead.stream.Group.Peers {
		b.Replicas = append(b.Replicas, m.replica(p, b.LastSeq, now))
	}
	sortReplicas(b.Replicas)
	b.setLeader(lead, now)
	return b
}

// createdWithin is true where a report says that the stream was created less than d ago.
func createdWithin(d time.Duration, rs []report, now time.Time) bool {
	return slices.ContainsFunc(rs, func(r report) bool { return !r.stream.Created.IsZero() && now.Sub(r.stream.Created) < d })
}

// lossOf compares the operations that a bucket without a leader had with those that are
// left. It is nil where this node saw no leader, or no node that answers lists the stream:
// a server that was started again lists none before there is a meta leader.
func (m *observations) lossOf(b Bucket, rs []report) *SeqLoss {
	var left *SeqLoss
	for _, r := range rs {
		if m.led[b.Name] && r.node.streamsRound == m.round {
			if left == nil {
				left = &SeqLoss{Seen: b.LastSeq}
			}
			left.Left = max(left.Left, r.stream.State.LastSeq)
		}
	}
	return left
}

// setLeader notes who leads. A leader that cannot reach a majority may not know it yet,
// but the group cannot agree on the writes that it accepts: then there is no leader.
func (b *Bucket) setLeader(by report, now time.Time) {
	there := 0
	for _, r := range b.Replicas {
		if r.State != ReplicaOffline {
			there++
		}
	}
	leader, since := by.node.name, by.stream.since()
	if there < b.needed() {
		leader, since = "", time.Time{}
	}
	if b.Leader != leader || b.Since == 0 {
		b.Leader, b.Since = leader, core.MillisOf(now)
	}
	if !since.IsZero() {
		b.Since = core.MillisOf(since)
	}
}

// updateFigures copies the figures of one replica, where they are not older than what is there.
func (b *Bucket) updateFigures(s stream) {
	if s.Config != nil {
		b.Wanted = s.Config.Replicas
	}
	if s.State.LastSeq >= b.LastSeq {
		b.Keys, b.Bytes, b.LastSeq = int(s.State.Msgs), int64(s.State.Bytes), s.State.LastSeq
	}
}

// leaderReport returns the report of the bucket's leader: only a leader's own word
// counts. Of two the one that began to lead later is right. A replica whose
// group is not started yet calls itself the leader too, but cannot say since when.
func leaderReport(rs []report) (best report, ok bool) {
	for _, r := range rs {
		if !r.stream.leads(r.node.name) {
			continue
		}
		if !ok || r.stream.since().After(best.stream.since()) {
			best, ok = r, true
		}
	}
	return best, ok
}

// replica says how a peer of the leader stands.
func (m *observations) replica(p peer, last uint64, now time.Time) Replica {
	r := Replica{Node: p.label(), State: ReplicaBehind, Lag: p.Lag}
	switch {
	case p.Offline || !m.keepsData(p.Name, now):
		r.State = ReplicaOffline
	case p.Pending || (!p.Current && p.Active == 0): // it has nothing yet
		r.Lag = max(p.Lag, last)
	case p.Current:
		r.State = ReplicaCurrent
	}
	return r
}

// leaderless describes a bucket without a leader: it is known where its replicas are, and not how current they are.
func (m *observations) leaderless(b Bucket, rs []report, now time.Time) Bucket {
	if b.Leader != "" || b.Since == 0 {
		b.Leader, b.Since = "", core.MillisOf(now)
	}
	names := map[string]bool{}
	for _, r := range b.Replicas {
		names[r.Node] = true
	}
	for _, r := range rs {
		names[r.node.name] = true
		if r.stream.Group == nil {
			continue
		}
		for _, p := range r.stream.Group.Peers {
			names[p.label()] = true
		}
	}
	b.Replicas = make([]Replica, 0, len(names))
	for name := range names {
		r := Replica{Node: name, State: ReplicaUnknown}
		if !m.keepsData(name, now) {
			r.State = ReplicaOffline
		}
		b.Replicas = append(b.Replicas, r)
	}
	sortReplicas(b.Replicas)
	return b
}

func sortReplicas(rs []Replica) {
	slices.SortFunc(rs, func(a, b Replica) int { return cmp.Compare(a.Node, b.Node) })
}
