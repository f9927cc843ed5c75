package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// maxNodes bounds how many names are remembered, whatever answers.
const maxNodes = 64

// memory is what an Observer has heard so far, and out of which it makes a View.
type memory struct {
	cfg     Config
	round   int // counts the looks
	nodes   map[string]*nodeMemory
	meta    leadership
	rivals  []string // who claimed to lead the meta group at the last look, where it was more than one
	buckets map[string]*Bucket

	identities streamIdentities

	unknown  map[string]bool        // servers that are no nodes of this cluster
	misnamed map[string]*nodeMemory // servers whose names no node can have

	left map[string]bool // nodes that took their leave: silent at this look, and the others were told
	at   core.Millis
}

// nodeMemory is what is remembered of one node.
type nodeMemory struct {
	name         string
	server       server
	first        time.Time // when its present run was heard first
	heard        time.Time // zero: never
	heardRound   int       // the look in which it was heard last
	stats        *stats
	streams      *streams
	streamsAt    time.Time
	streamsRound int // the look in which streams came
	info         *Info
	held         map[string]bool // streams that it reported in its present run
}

// leadership is who leads a group since when.
type leadership struct {
	leader string
	since  core.Millis
	last   string
}

func (m *memory) init(cfg Config) {
	m.cfg = cfg
	m.nodes = map[string]*nodeMemory{}
	m.buckets = map[string]*Bucket{}
	m.misnamed = map[string]*nodeMemory{}
	m.identities = newStreamIdentities(cfg.Streams)
	m.node(cfg.Name)
	for _, name := range cfg.Nodes {
		m.node(name)
	}
}

// node returns what is remembered under a name, nil where the name is impossible or there are too many.
func (m *memory) node(name string) *nodeMemory {
	n := m.nodes[name]
	if n == nil && validName(name) && len(m.nodes) < maxNodes {
		n = &nodeMemory{name: name, held: map[string]bool{}}
		m.nodes[name] = n
	}
	return n
}

// heard notes that a server answered.
func (m *memory) heard(s server, now time.Time) *nodeMemory {
	n := m.node(s.Name)
	if n != nil {
		if n.server.ID != s.ID {
			n.held, n.first = map[string]bool{}, now
		}
		n.server, n.heard, n.heardRound = s, now, m.round
		m.at = core.MillisOf(now)
	}
	return n
}

// online is true for a node that answered lately.
func (m *memory) online(name string, now time.Time) bool {
	n := m.nodes[name]
	if n == nil {
		return false
	}
	if !m.cfg.Clustered && name == m.cfg.Name {
		return true
	}
	return !n.heard.IsZero() && now.Sub(n.heard) <= m.cfg.Lost && !m.left[name]
}

// findLeft finds the nodes that were stopped in good order. Their last words
// reach the others at once, so that nobody waits for a node that said goodbye. It
// has left until it is heard again, also where nobody says so at a later look: who
// led the meta group may have been the one to leave.
func (m *memory) findLeft(now time.Time) {
	left := map[string]bool{}
	for name := range m.left {
		if n := m.nodes[name]; n != nil && n.heardRound != m.round {
			left[name] = true
		}
	}
	m.left = nil
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil || n.heardRound != m.round {
			continue
		}
		for _, p := range g.Peers {
			other := m.nodes[p.Name]
			if p.Offline && other != nil && other.heardRound != m.round {
				left[p.Name] = true
			}
		}
	}
	m.left = left
}

// sorted returns the nodes by name, without servers that are none.
func (m *memory) sorted() []*nodeMemory {
	return slices.DeleteFunc(m.all(), func(n *nodeMemory) bool { return m.unknown[n.name] })
}

// all returns every server that was heard or is configured, by name.
func (m *memory) all() []*nodeMemory {
	return slices.SortedFunc(maps.Values(m.nodes), func(a, b *nodeMemory) int { return cmp.Compare(a.name, b.name) })
}

// answering returns the nodes whose word counts now, by name.
func (m *memory) answering(now time.Time) []*nodeMemory {
	return slices.DeleteFunc(m.sorted(), func(n *nodeMemory) bool { return !m.online(n.name, now) })
}

// build makes a View of what is remembered.
func (m *memory) build(f Facts, now time.Time) View {
	v := View{
		Cluster: m.cfg.Cluster, At: m.at, From: m.cfg.Name, Clustered: m.cfg.Clustered, Expected: m.cfg.Expected,
		Authority: f.Authority, Serving: f.Serving, Counts: f.Counts, CountsAt: f.CountsAt, Moving: f.Moving,
		Buckets: []Bucket{},
	}
	if m.cfg.Clustered {
		m.findUnknown(now)
		v.Unknown = m.unknownServers(now)
		m.findLeft(now)
		m.forget(now)
		m.learnPeers(now)
		v.Meta = m.buildMeta(now)
		v.Lost = m.identifyStreams(v.Meta, now)
		v.Buckets, v.Mechanism = m.buildBuckets(now)
	} else {
		v.At, v.Expected = core.MillisOf(now), 1
	}
	for _, n := range m.sorted() {
		v.Nodes = append(v.Nodes, m.buildNode(n, v, now))
	}
	return v
}

// forget drops nodes that were replaced: silent, more than are configured, and
// no longer in the meta group of the one that leads it.
func (m *memory) forget(now time.Time) {
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil || g.Leader != n.name {
			continue
		}
		for _, other := range m.sorted() {
			member := slices.ContainsFunc(g.Peers, func(p peer) bool { return p.Name == other.name })
			listed := slices.Contains(m.cfg.Nodes, other.name)
			if len(m.nodes) > m.cfg.Expected && !member && !listed && !m.online(other.name, now) {
				delete(m.nodes, other.name)
			}
		}
	}
}

// learnPeers takes the names of nodes that others know of and that never answered here.
func (m *memory) learnPeers(now time.Time) {
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil {
			continue
		}
		for _, p := range g.Peers {
			if p.known() && len(m.sorted()) < m.cfg.Expected {
				m.node(p.Name)
			}
		}
	}
}

// group is the meta group as the node sees it, nil where it did not say.
func (n *nodeMemory) group() *metaGroup {
	if n.streams != nil && n.streams.Data.Meta != nil {
		return n.streams.Data.Meta
	}
	if n.stats != nil && n.stats.Stats.JetStream != nil {
		return n.stats.Stats.JetStream.Meta
	}
	return nil
}

func (m *memory) buildMeta(now time.Time) Meta {
	meta, leader := Meta{}, (*nodeMemory)(nil)
	claims := []string{}
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil {
			continue
		}
		meta.Online++
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
	if leader != nil {
		g := leader.group()
		meta.Leader, meta.Size, meta.Needed, meta.Pending = leader.name, g.Size, g.Needed, g.Pending
	}
	meta.Size = cmp.Or(meta.Size, m.cfg.Expected)
	meta.Needed = cmp.Or(meta.Needed, meta.Size/2+1)
	if meta.Online < meta.Needed {
		meta.Leader = "" // it may not know yet, but what it accepts cannot be agreed on
	}
	meta.Leaders = m.leaders(meta.Leader, claims)
	meta.Ghosts = m.ghosts(meta.Size, now)
	m.meta.see(meta.Leader, now)
	meta.Since, meta.Last = m.meta.since, m.meta.last
	return meta
}

// leaders returns who leads. Two at one look may be a handover seen from both
// sides; two that were two at the look before as well are two.
func (m *memory) leaders(leader string, claims []string) []string {
	before := m.rivals
	m.rivals = nil
	if len(claims) > 1 {
		m.rivals = claims
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

// ghosts returns the peers of the meta group for which there is no configured
// node. A peer without a name alone is none: after a full stop that is any node not started yet.
func (m *memory) ghosts(size int, now time.Time) []string {
	if size <= m.cfg.Expected {
		return nil
	}
	var ghosts []string
	for _, n := range m.answering(now) {
		g := n.group()
		if g == nil {
			continue
		}
		for _, p := range g.Peers {
			known := p.known() && m.nodes[p.Name] != nil && !m.unknown[p.Name]
			if label := p.label(); !known && !slices.Contains(ghosts, label) {
				ghosts = append(ghosts, label)
			}
		}
	}
	slices.Sort(ghosts)
	return ghosts
}

func (m *memory) buildNode(n *nodeMemory, v View, now time.Time) Node {
	out := Node{Name: n.name, Online: m.online(n.name, now), HeardMS: -1, ID: n.server.ID, Info: n.info}
	switch {
	case !m.cfg.Clustered && n.name == m.cfg.Name:
		out.HeardMS = 0
	case !n.heard.IsZero():
		out.HeardMS = now.Sub(n.heard).Milliseconds()
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
	out.Off = m.cfg.Clustered && out.Online && n.streams != nil && n.streams.Data.Disabled
	switch {
	case !out.Online || !m.cfg.Clustered:
	case v.Meta.Leader == n.name:
		out.Meta = "leader"
	case n.group() != nil:
		out.Meta = "follower"
	}
	for _, b := range slices.Concat(v.Buckets, v.Mechanism) {
		if b.Leader == n.name {
			out.Leads = append(out.Leads, short(b.Name))
		}
	}
	return out
}

// short is a bucket's name as it is shown: UNIBUS_users is users.
func short(bucket string) string { return strings.TrimPrefix(bucket, "UNIBUS_") }
