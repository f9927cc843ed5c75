package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// infoTime is how long a server may answer nats-server's questions before it says
// what it is. A node does so as soon as it has started; a bare nats-server never does.
const infoTime = 5 * time.Second

// UnknownServer answers as a node and is none of the cluster's. It is not among
// the View's nodes, and nothing that it says counts.
type UnknownServer struct {
	Name  string      `json:"name"`
	ID    string      `json:"id,omitempty"` // its nats-server id
	Since core.Millis `json:"since"`        // when it was heard first
}

// findUnknown finds the servers that answer and are no nodes: by the list of
// nodes or, without one, those beyond the configured number that never said what they are.
func (m *observations) findUnknown(now time.Time) {
	known, mute := 0, []string{}
	m.unknown = map[string]bool{}
	for name, n := range m.nodes {
		switch {
		case m.members.isForeign(name):
			m.unknown[name] = true
		case len(m.members.names) > 0:
		case n.info == nil && !n.heard.IsZero() && now.Sub(n.first) >= infoTime && name != m.cfg.Name:
			mute = append(mute, name)
		default:
			known++
		}
	}
	own := m.nodes[m.cfg.Name]
	if own == nil || own.info == nil || known+len(mute) <= m.members.expected {
		return // no node can be asked, or each of them may be a configured node
	}
	for _, name := range mute {
		m.unknown[name] = true
	}
}

// unknownServers are those that answer now, by name.
func (m *observations) unknownServers(now time.Time) []UnknownServer {
	var out []UnknownServer
	for _, n := range slices.Concat(m.all(), slices.Collect(maps.Values(m.misnamed))) {
		bad := m.unknown[n.name] || m.misnamed[n.name] == n
		if bad && !n.heard.IsZero() && now.Sub(n.heard) <= m.cfg.lost {
			out = append(out, UnknownServer{n.name, n.server.ID, core.MillisOf(n.first)})
		}
	}
	slices.SortFunc(out, func(a, b UnknownServer) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// hearMisnamed notes a server whose name no node can have. A bare nats-server
// that was given no name has its id as its name.
func (m *observations) hearMisnamed(s server, now time.Time) {
	if s.Name == "" || validName(s.Name) {
		return
	}
	name := shownText(s.Name, ".")
	n := m.misnamed[name]
	if n == nil || n.server.ID != s.ID {
		if len(m.misnamed) >= maxNodes {
			clear(m.misnamed)
		}
		n = &observedNode{name: name, server: s, first: now}
		m.misnamed[name] = n
	}
	n.heard = now
}

// shownText is what another process chose, as it can be shown: with the characters of a
// name and these marks alone.
func shownText(name, marks string) string {
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(marks, r) || validName(string(r)) {
			return r
		}
		return '?'
	}, name)
	return name[:min(len(name), 64)]
}

// judgeUnknown is about servers that no configuration names: each has every right of a node.
func judgeUnknown(v View) []Finding {
	var fs []Finding
	for _, u := range v.Unknown {
		if i := slices.IndexFunc(v.Removed, func(c core.NodeChange) bool { return c.Name == u.Name }); i >= 0 {
			fs = append(fs, Finding{
				Critical, "node." + u.Name,
				fmt.Sprintf("%s is connected as a node, and %s removed it from the cluster: it has a route, and can read and write everything.", u.Name, v.Removed[i].By),
				"stop unibusd on that machine; it can join again under another name only",
			})
			continue
		}
		fs = append(fs, Finding{
			Critical, "node." + u.Name,
			fmt.Sprintf("%s is connected as a node and is not one of this cluster: it has a route, and can read and write everything.", u.Name),
			"stop that server, and revoke the certificate that it uses, then copy the list to every node: `unibusd cert revoke CERT --ca DIR`",
		})
	}
	return fs
}

// unknown notes servers that were not there before.
func (d *diff) unknown(old, next View) {
	for _, u := range next.Unknown {
		if !slices.ContainsFunc(old.Unknown, func(o UnknownServer) bool { return o.Name == u.Name }) {
			d.add(Critical, u.Name, "is connected as a node and is not one of this cluster")
		}
	}
	for _, u := range old.Unknown {
		if !slices.ContainsFunc(next.Unknown, func(n UnknownServer) bool { return n.Name == u.Name }) {
			d.add(Note, u.Name, "is not one of this cluster's nodes, and does not answer any more")
		}
	}
}
