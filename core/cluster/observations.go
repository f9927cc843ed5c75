package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// maxNodes bounds how many names are kept, whatever answers.
const maxNodes = 64

// observations is what an Observer has heard so far, and out of which it makes a View.
type observations struct {
	cfg             Config
	members         memberNodes
	round           int // counts the observations
	nodes           map[string]*observedNode
	meta            leadership
	metaOnline      int         // members of the meta group that were online at the last observation
	metaOnlineSince core.Millis // when these last became more
	rescuedSince    core.Millis // when a node first had a lowered quorum; 0: none has
	claimedLeaders  []string    // the nodes that claimed to lead the meta group at the last observation, if there were several
	buckets         map[string]*Bucket
	led             map[string]bool // buckets that were seen with a leader

	identities streamIdentities

	unknown  map[string]bool          // servers that are no nodes of this cluster
	misnamed map[string]*observedNode // servers whose names no node can have

	cuts       map[link]time.Time // nodes that are up and do not hear each other, since when
	duplicates map[string]bool    // names under which several servers are connected
	runs       map[string]Info    // what each server says of itself, by its id

	departed map[string]bool // nodes that shut down in order: silent now, and offline by the report of their peers
	at       core.Millis
}

// observedNode is what was observed of one node.
type observedNode struct {
	name         string
	server       server
	first        time.Time // when its present run answered first
	heard        time.Time // zero: never
	heardRound   int       // the observation in which it answered last
	stats        *stats
	streams      *streams
	streamsAt    time.Time
	streamsRound int // the observation in which streams came
	info         *Info
	infoAt       time.Time
	clock        [2]time.Duration // ahead of this node's, when the last infos came
	held         map[string]bool  // streams that it reported in its present run

	relayedAt    time.Time // when another node heard it last, which this one does not hear; zero: never
	relayedBy    string
	relayedRound int // the observation in which that was reported
	departedAt   time.Time
}

// leadership is the leader of a group and when it was first seen.
type leadership struct {
	leader string
	since  core.Millis
	last   string
}

func (m *observations) init(cfg Config) {
	m.cfg = cfg
	m.nodes = map[string]*observedNode{}
	m.buckets, m.led = map[string]*Bucket{}, map[string]bool{}
	m.misnamed = map[string]*observedNode{}
	m.runs = map[string]Info{}
	m.identities = newStreamIdentities(cfg.Streams)
	m.node(cfg.Name)
	m.updateMembers()
}

// updateMembers reads which nodes belong to the cluster now.
func (m *observations) updateMembers() {
	m.members = m.cfg.members()
	for _, name := range m.members.names {
		m.node(name)
	}
}

// node returns the node of a name, and adds it; nil if the name is invalid or there are too many.
func (m *observations) node(name string) *observedNode {
	n := m.nodes[name]
	if n == nil && validName(name) && len(m.nodes) < maxNodes {
		n = &observedNode{name: name, held: map[string]bool{}}
		m.nodes[name] = n
	}
	return n
}

// heard notes that a server answered.
func (m *observations) heard(s server, now time.Time) *observedNode {
	n := m.node(s.Name)
	if m.isOtherRun(s.Name, s.ID, now) {
		return nil
	}
	if n != nil {
		if n.server.ID != s.ID {
			n.held, n.first = map[string]bool{}, now
		}
		n.server, n.heard, n.heardRound = s, now, m.round
		m.at = core.MillisOf(now)
	}
	return n
}

// online is true for a node that answered lately, this node or another one.
func (m *observations) online(name string, now time.Time) bool {
	n := m.nodes[name]
	if n == nil {
		return false
	}
	if !m.cfg.Clustered && name == m.cfg.Name {
		return true
	}
	relayed := !n.relayedAt.IsZero() && now.Sub(n.relayedAt) <= m.reportTime() && !m.departed[name]
	return relayed || m.heardLately(n, now)
}

// seeClock compares the clock by which a node answered with this one's. An older node gives none.
func (n *observedNode) seeClock(answered core.Millis, now time.Time) {
	ahead := time.Duration(0)
	if answered != 0 {
		ahead = answered.Time().Sub(now)
	}
	n.clock = [2]time.Duration{n.clock[1], ahead}
}

// clockAhead is the smaller of two differences: one answer may be late, because a process stood still.
func (n *observedNode) clockAhead() time.Duration {
	if n.clock[0].Abs() < n.clock[1].Abs() {
		return n.clock[0]
	}
	return n.clock[1]
}

// jetStreamOff is true for a node whose server answers and keeps no data.
func (m *observations) jetStreamOff(name string) bool {
	n := m.nodes[name]
	return m.cfg.Clustered && n != nil && n.streams != nil && n.streams.Data.Disabled
}

// keepsData is true for a node that answered lately and whose replicas count.
func (m *observations) keepsData(name string, now time.Time) bool {
	return m.online(name, now) && !m.jetStreamOff(name)
}

// findDeparted finds the nodes that shut down in order. A node announces its
// shutdown to its peers, so that it counts as offline at once. It has departed
// until it answers again, even if no peer reports it later: the node that led the
// meta group may be the one that shut down.
func (m *observations) findDeparted(now time.Time) {
	left := map[string]bool{}
	for name := range m.departed {
		if n := m.nodes[name]; n != nil && !n.heardNow(m.round) {
			left[name] = true
		}
	}
	before := m.departed
	m.departed = nil
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil || !n.heardNow(m.round) {
			continue
		}
		for _, p := range g.Peers {
			other := m.nodes[p.Name]
			if p.Offline && other != nil && !other.heardNow(m.round) {
				left[p.Name] = true
			}
		}
	}
	for name := range left {
		if !before[name] {
			m.nodes[name].departedAt = now
		}
	}
	m.departed = left
}

// heardNow is true where a node answered in an observation, this node or another one.
func (n *observedNode) heardNow(round int) bool {
	return n.heardRound == round || n.relayedRound == round && n.relayedAt.After(n.departedAt)
}

// sorted returns the nodes by name, without unknown servers.
func (m *observations) sorted() []*observedNode {
	return slices.DeleteFunc(m.all(), func(n *observedNode) bool { return m.unknown[n.name] })
}

// all returns every server that was heard or is configured, by name.
func (m *observations) all() []*observedNode {
	return slices.SortedFunc(maps.Values(m.nodes), func(a, b *observedNode) int { return cmp.Compare(a.name, b.name) })
}

// answering returns the nodes whose reports count now, by name.
func (m *observations) answering(now time.Time) []*observedNode {
	return slices.DeleteFunc(m.sorted(), func(n *observedNode) bool { return !m.online(n.name, now) })
}

// build makes a View of the observations.
func (m *observations) build(f Facts, now time.Time) View {
	m.updateMembers()
	v := View{
		Cluster: m.cfg.Cluster, At: m.at, From: m.cfg.Name, Clustered: m.cfg.Clustered, Expected: m.members.expected, Removed: m.members.removed, Added: m.members.added,
		Authority: f.Authority, Serving: f.Serving, Counts: f.Counts, CountsAt: f.CountsAt, Moving: f.Moving, Soak: f.Soak, Maintenance: f.Maintenance, Backups: f.Backups,
		Buckets: []Bucket{},
	}
	if m.cfg.Clustered {
		v.DuplicateNames = m.mergeDuplicateNames(f.DuplicateNames, now)
		m.duplicates = map[string]bool{}
		for _, t := range v.DuplicateNames {
			m.duplicates[t.Name] = true
		}
		m.findUnknown(now)
		v.Unknown = m.unknownServers(now)
		m.findDeparted(now)
		m.dropReplaced(now)
		m.learnPeers(now)
		m.findCuts(now)
		v.Meta = m.buildMeta(now)
		v.Lost = m.identifyStreams(v.Meta, now)
		v.Buckets, v.InternalBuckets = m.buildBuckets(now)
		v.Streams = slices.Sorted(maps.Keys(m.identities.created))
		v.KnowsStreams = len(v.Streams) > 0
	} else {
		v.At, v.Expected = core.MillisOf(now), 1
	}
	for _, n := range m.sorted() {
		v.Nodes = append(v.Nodes, m.buildNode(n, v, now))
	}
	return v
}

// dropReplaced drops nodes that were replaced: silent, more than are configured, and
// no longer in the meta group of the one that leads it.
func (m *observations) dropReplaced(now time.Time) {
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil || g.Leader != n.name {
			continue
		}
		for _, other := range m.sorted() {
			member := slices.ContainsFunc(g.Peers, func(p peer) bool { return p.Name == other.name })
			listed := slices.Contains(m.members.names, other.name)
			if len(m.nodes) > m.members.expected && !member && !listed && !m.online(other.name, now) {
				delete(m.nodes, other.name)
			}
		}
	}
}

// learnPeers adds the nodes that peers report and that never answered here.
func (m *observations) learnPeers(now time.Time) {
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil {
			continue
		}
		for _, p := range g.Peers {
			if p.known() && len(m.sorted()) < m.members.expected {
				m.node(p.Name)
			}
		}
	}
	for _, n := range m.answering(now) {
		if n.info == nil {
			continue
		}
		for _, r := range n.info.Routes { // one that no node hears may have shown its certificate
			if len(m.sorted()) < m.members.expected {
				m.node(r.Node)
			}
		}
	}
}

// group is the meta group as the node sees it, nil if it did not report one.
func (n *observedNode) group() *metaGroup {
	if n.streams != nil && n.streams.Data.Meta != nil {
		return n.streams.Data.Meta
	}
	if n.stats != nil && n.stats.Stats.JetStream != nil {
		return n.stats.Stats.JetStream.Meta
	}
	return nil
}

func (m *observations) buildMeta(now time.Time) Meta {
	meta, leader := Meta{}, (*observedNode)(nil)
	claims, members := []string{}, []string{}
	known := m.metaMembers(now)
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil || len(known) > 0 && !slices.Contains(known, n.name) {
			continue
		}
		members = append(members, n.name)
		meta.Size, meta.Needed = max(meta.Size, g.Size), max(meta.Needed, g.Needed)
		if g.Leader != n.name {
			continue
		}
		if n.streamsRound == m.round {
			claims = append(claims, n.name)
		}
		if leader == nil || n.streamsAt.After(leader.streamsAt) {
			leader = n
		}
	}
	meta.Online = largestGroup(members, func(a, b string) bool { return m.isCut(a, b, now) })
	if leader != nil {
		g := leader.group()
		meta.Leader, meta.Size, meta.Needed, meta.Pending = leader.name, g.Size, g.Needed, g.Pending
	}
	meta.Size = cmp.Or(meta.Size, m.members.expected)
	meta.Needed = cmp.Or(meta.Needed, meta.Size/2+1)
	if meta.Online < meta.Needed {
		meta.Leader = "" // it may not know yet, but a majority cannot confirm what it accepts
	}
	if meta.Online > m.metaOnline {
		m.metaOnlineSince = core.MillisOf(now)
	}
	m.metaOnline, meta.OnlineSince = meta.Online, m.metaOnlineSince
	meta.Leaders = m.leaders(meta.Leader, claims)
	meta.RescueUntil = m.rescueUntil(now)
	if meta.Leader == "" {
		meta.Members, meta.NoRoute = known, m.hasHeardNobody()
	}
	meta.OrphanPeers = m.orphanPeers(meta.Size, now)
	m.meta.see(meta.Leader, now)
	meta.Since, meta.Last = m.meta.since, m.meta.last
	return meta
}

// leaders returns the nodes that lead. Two at one observation may be a change of
// leader seen from both sides; the same two at two observations are a split.
func (m *observations) leaders(leader string, claims []string) []string {
	before := m.claimedLeaders
	m.claimedLeaders = nil
	if len(claims) > 1 {
		m.claimedLeaders = claims
		if slices.Equal(before, claims) {
			return claims
		}
	}
	if leader == "" {
		return nil
	}
	return []string{leader}
}

func (l *leadership) see(leader string, now time.Time) {
	if leader != l.leader || l.since == 0 {
		l.leader, l.since = leader, core.MillisOf(now)
	}
	if leader != "" {
		l.last = leader
	}
}

// orphanPeers returns the peers of the meta group for which there is no node. A peer
// without a name alone is none: after a full stop that is any node not started yet.
// metaMembers are the members of a meta group without a leader, as far as nodes know them
// that took part in it: one that is new may think that every node does. nil: a leader says it.
func (m *observations) metaMembers(now time.Time) []string {
	var out []string
	if slices.ContainsFunc(m.answering(now), func(n *observedNode) bool { return n.group() != nil && n.group().Leader == n.name }) {
		return nil
	}
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil || n.info == nil || len(n.info.Streams) == 0 {
			continue
		}
		out = append(out, n.name)
		for _, p := range g.Peers {
			out = append(out, m.peerLabel(p))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// hasHeardNobody is true where no other server has answered since this node's start.
// nats-server runs no raft group before its first route is open.
func (m *observations) hasHeardNobody() bool {
	return !slices.ContainsFunc(m.all(), func(n *observedNode) bool { return n.name != m.cfg.Name && !n.heard.IsZero() })
}

// rescueUntil is when the lowered quorum of a rescue ends at the latest; 0 without one.
func (m *observations) rescueUntil(now time.Time) core.Millis {
	rescued := slices.ContainsFunc(m.answering(now), func(n *observedNode) bool { return n.group() != nil && n.group().Rescue })
	if !rescued {
		m.rescuedSince = 0
		return 0
	}
	m.rescuedSince = cmp.Or(m.rescuedSince, core.MillisOf(now))
	return m.rescuedSince + core.Millis(RescueTime.Milliseconds())
}

func (m *observations) orphanPeers(size int, now time.Time) []string {
	if size <= m.members.expected {
		return nil
	}
	var orphans []string
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil {
			continue
		}
		for _, p := range g.Peers {
			label := m.peerLabel(p)
			known := m.nodes[label] != nil && !m.unknown[label]
			if !known && !slices.Contains(orphans, label) {
				orphans = append(orphans, label)
			}
		}
	}
	slices.Sort(orphans)
	return orphans
}

// peerLabel is a peer's name, which may be known here and not to the server that
// reported it; without one, its raft id.
func (m *observations) peerLabel(p peer) string {
	if p.known() {
		return p.Name
	}
	for _, c := range m.members.removed {
		if PeerID(c.Name) == p.ID {
			return c.Name
		}
	}
	for name := range m.nodes {
		if PeerID(name) == p.ID {
			return name
		}
	}
	return p.label()
}

func (m *observations) buildNode(n *observedNode, v View, now time.Time) Node {
	out := Node{Name: n.name, Online: m.online(n.name, now), HeardMS: -1, ID: n.server.ID, Info: n.info, ClockMS: n.clockAhead().Milliseconds()}
	switch {
	case !m.cfg.Clustered && n.name == m.cfg.Name:
		out.HeardMS = 0
	case !n.heard.IsZero():
		out.HeardMS = now.Sub(n.heard).Milliseconds()
	}
	if n.relayedAt.After(n.heard) {
		out.HeardMS = now.Sub(n.relayedAt).Milliseconds()
	}
	out.Relayed = out.Online && n.name != m.cfg.Name && !m.heardLately(n, now)
	if m.cfg.Clustered {
		out.Unheard = m.unheard(n, now)
	}
	if n.info != nil {
		out.Version = n.info.Version
	}
	if n.stats != nil {
		s := n.stats.Stats
		out.Started, out.CPU, out.Memory, out.Conns = core.MillisOf(s.Start), s.CPU, s.Mem, s.Conns
		if s.JetStream != nil {
			out.Disk, out.DiskMax = s.JetStream.Stats.Store, s.JetStream.Config.MaxStore
		}
	}
	if n.info != nil && n.info.Sessions != nil {
		out.Conns = *n.info.Sessions
	}
	out.Off = out.Online && m.jetStreamOff(n.name)
	switch {
	case !out.Online || !m.cfg.Clustered:
	case v.Meta.Leader == n.name:
		out.Meta = "leader"
	case n.group() != nil:
		out.Meta = "follower"
	}
	for _, b := range slices.Concat(v.Buckets, v.InternalBuckets) {
		if b.Leader == n.name {
			out.Leads = append(out.Leads, short(b.Name))
		}
	}
	return out
}

// short is a bucket's name as it is shown: UNIBUS_users is users.
func short(bucket string) string { return strings.TrimPrefix(bucket, "UNIBUS_") }
