package cluster

import (
	"slices"
	"time"

	"unibus/core"
)

// Route is what came of a node's last try to open a route to one of its peers.
type Route struct {
	Addr   string          `json:"addr"`             // as --routes has it
	Node   string          `json:"node,omitempty"`   // the node there; "" while it was never reached
	Fault  core.RouteFault `json:"fault,omitempty"`  // "": a route can be opened
	Detail string          `json:"detail,omitempty"` // of the fault, as a part of a sentence
	Hosts  string          `json:"hosts,omitempty"`  // that a new certificate of the node needs, with commas
	Since  core.Millis     `json:"since"`            // when the fault was seen first, or its end
}

// dialLine is in the lines of nats-server about a route that it cannot dial. The node tries
// the same routes itself, and knows when one can be opened again.
const dialLine = "trying to connect to route"

// Unheard is the report of a node that does not hear another one.
type Unheard struct {
	By     string          `json:"by"`
	Addr   string          `json:"addr,omitempty"` // the route it tried; "" where it is not known which one is the node's
	Fault  core.RouteFault `json:"fault,omitempty"`
	Detail string          `json:"detail,omitempty"`
	Hosts  string          `json:"hosts,omitempty"`
}

// Relayed is what a node heard of another one, for a node that does not hear that one
// itself: requests go no further than over one route.
type Relayed struct {
	HeardMS int64    `json:"heard_ms"` // the age of the answers
	Info    *Info    `json:"info,omitempty"`
	Stats   *stats   `json:"stats,omitempty"`
	Streams *streams `json:"streams,omitempty"`
}

// Relay returns what this node heard lately of nodes that are not among those which
// the asking node hears.
func (o *Observer) Relay(hears []string) []Relayed {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.cfg.now()
	var out []Relayed
	for _, n := range o.mem.sorted() {
		if slices.Contains(hears, n.name) || !o.mem.heardLately(n, now) || n.stats == nil {
			continue
		}
		out = append(out, Relayed{HeardMS: now.Sub(n.heard).Milliseconds(), Info: n.info, Stats: n.stats, Streams: n.streams})
	}
	return out
}

// heardLately is true for a node that answered this one itself, and lately.
func (m *observations) heardLately(n *observedNode, now time.Time) bool {
	return !n.heard.IsZero() && now.Sub(n.heard) <= m.cfg.lost && !m.departed[n.name]
}

// reportTime is how long the report of another node counts: as long as an answer, and
// until its next one may come.
func (m *observations) reportTime() time.Duration { return m.cfg.lost + m.cfg.interval }

// hearInfo notes what a node says of itself, and of those that this one does not hear.
func (m *observations) hearInfo(i Info, now time.Time) {
	relayed := i.Relayed
	i.Relayed = nil
	if n := m.node(i.Name); n != nil {
		n.info, n.infoAt = &i, now
		n.seeClock(i.Now, now)
	}
	for _, r := range relayed {
		m.hearRelayed(i.Name, r, now)
	}
}

// hearRelayed notes what another node heard, unless this one heard the same node later.
func (m *observations) hearRelayed(by string, r Relayed, now time.Time) {
	if r.Stats == nil || r.HeardMS < 0 {
		return
	}
	at := now.Add(-time.Duration(r.HeardMS) * time.Millisecond)
	n := m.node(r.Stats.Server.Name)
	if n == nil || n.name == m.cfg.Name || m.heardLately(n, now) || at.Before(n.relayedAt) {
		return
	}
	if n.server.ID != r.Stats.Server.ID {
		n.held, n.first, n.server = map[string]bool{}, now, r.Stats.Server
	}
	n.relayedAt, n.relayedBy, n.relayedRound, n.stats = at, by, m.round, r.Stats
	if r.Info != nil && r.Info.Name == n.name {
		n.info, n.infoAt = r.Info, at
		n.info.Relayed = nil
	}
	if r.Streams != nil && r.Streams.Server.Name == n.name {
		n.streams, n.streamsAt, n.streamsRound = r.Streams, at, m.round
	}
}

// link is two nodes, the first by name first.
type link struct{ a, b string }

func linkOf(a, b string) link { return link{min(a, b), max(a, b)} }

// settleTime is how long two nodes must not have heard each other before it is said:
// each learns a moment after the other that a route is open.
const settleTime = 3 * time.Second

// findCuts finds the nodes that are up and do not hear each other. A route is one
// connection for both directions, so that one of the two is enough to hear both.
func (m *observations) findCuts(now time.Time) {
	up, cut := m.answering(now), map[link]time.Time{}
	for i, a := range up {
		for _, b := range up[i+1:] {
			aHears, aSays := m.reportsHearing(a, b, now)
			bHears, bSays := m.reportsHearing(b, a, now)
			if aHears || bHears || !aSays && !bSays {
				continue
			}
			l := linkOf(a.name, b.name)
			cut[l] = now
			if since, known := m.cuts[l]; known {
				cut[l] = since
			}
		}
	}
	m.cuts = cut
}

// reportsHearing is whether a node hears another one, and whether it said so at all.
func (m *observations) reportsHearing(n, other *observedNode, now time.Time) (hears, says bool) {
	switch {
	case n.name == m.cfg.Name:
		return m.heardLately(other, now), true
	case n.info == nil || n.info.Hears == nil || now.Sub(n.infoAt) > m.reportTime():
		return false, false
	}
	return slices.Contains(n.info.Hears, other.name), true
}

// isCut is true of two nodes that are up and have not heard each other for a while.
func (m *observations) isCut(a, b string, now time.Time) bool {
	since, cut := m.cuts[linkOf(a, b)]
	return cut && now.Sub(since) >= settleTime
}

// unheard returns who does not hear a node, and why.
func (m *observations) unheard(n *observedNode, now time.Time) []Unheard {
	var out []Unheard
	up := m.online(n.name, now)
	for _, by := range m.answering(now) {
		if by == n || up && !m.isCut(by.name, n.name, now) {
			continue
		}
		u := Unheard{By: by.name}
		if r, ok := m.routeTo(by, n.name, now); ok && !slices.Contains(by.info.Hears, n.name) { // else its report is of the time before the silence
			u.Addr, u.Fault, u.Detail, u.Hosts = r.Addr, r.Fault, r.Detail, r.Hosts
		}
		out = append(out, u)
	}
	return out
}

// routeTo returns the route of a node to another one: by the name that it found there or
// that any node found there or, where it is the only one left, by exclusion.
func (m *observations) routeTo(by *observedNode, name string, now time.Time) (Route, bool) {
	if by.info == nil || now.Sub(by.infoAt) > m.reportTime() {
		return Route{}, false
	}
	var nameless []Route
	unmatched := 0
	for _, r := range by.info.Routes {
		switch owner := m.ownerOf(r); owner {
		case name:
			return r, true
		case "":
			nameless = append(nameless, r)
		}
	}
	for _, n := range m.sorted() {
		if n != by && !slices.ContainsFunc(by.info.Routes, func(r Route) bool { return m.ownerOf(r) == n.name }) {
			unmatched++
		}
	}
	if len(nameless) == 1 && unmatched == 1 {
		return nameless[0], true
	}
	return Route{}, false
}

// ownerOf is the node at the address of a route, by the report of any node.
func (m *observations) ownerOf(r Route) string {
	if r.Node != "" {
		return r.Node
	}
	for _, n := range m.sorted() {
		if n.info == nil {
			continue
		}
		for _, other := range n.info.Routes {
			if other.Addr == r.Addr && other.Node != "" {
				return other.Node
			}
		}
	}
	return ""
}

// largestGroup is how many of the nodes one of them reaches, itself included: a raft
// group agrees if its leader reaches a majority; nodes do not pass its messages on.
func largestGroup(nodes []string, isCut func(a, b string) bool) int {
	best := 0
	for _, leader := range nodes {
		reached := 0
		for _, n := range nodes {
			if n == leader || !isCut(leader, n) {
				reached++
			}
		}
		best = max(best, reached)
	}
	return best
}
