package cluster

import (
	"crypto/sha256"
	"slices"
	"time"

	"unibus/core"
)

// memberNodes is which nodes belong to the cluster: what the observing node's
// configuration says, and what commands have changed since.
type memberNodes struct {
	names    []string // nil: the configuration lists none
	expected int      // how many there are
	removed  []core.NodeChange
}

func (m memberNodes) isRemoved(name string) bool {
	return slices.ContainsFunc(m.removed, func(c core.NodeChange) bool { return c.Name == name })
}

// isForeign is true for a name that no node of the cluster has.
func (m memberNodes) isForeign(name string) bool {
	return m.isRemoved(name) || m.names != nil && !slices.Contains(m.names, name)
}

// members combines the configuration with the commands' changes. seen are the names that
// answer or are in the meta group: a configuration without names does not say which of
// its routes leads to a removed node, or whether the operator has replaced it already.
func (c Config) members(seen []string) memberNodes {
	out := memberNodes{expected: c.Expected}
	var added []string
	if c.Changes != nil {
		for _, ch := range c.Changes() {
			switch ch.State {
			case core.NodeRemoved:
				out.removed = append(out.removed, ch)
			case core.NodeAdded:
				added = append(added, ch.Name)
			}
		}
	}
	if len(c.Nodes) > 0 {
		out.names = slices.DeleteFunc(slices.Clone(c.Nodes), out.isRemoved)
		for _, name := range added {
			if !slices.Contains(out.names, name) {
				out.names = append(out.names, name)
			}
		}
		out.expected = len(out.names)
		return out
	}
	known := 0
	for _, name := range seen {
		if !out.isRemoved(name) && !slices.Contains(added, name) {
			known++
		}
	}
	out.expected = max(1, c.Expected-len(out.removed), min(c.Expected, known)) + len(added)
	return out
}

// seenNames are the nodes that answer, and those in the meta group by the report of one that does.
func (m *observations) seenNames(now time.Time) []string {
	var names []string
	add := func(name string) {
		if validName(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, n := range m.all() {
		if !m.online(n.name, now) {
			continue
		}
		add(n.name)
		if g := n.group(); g != nil {
			for _, p := range g.Peers {
				add(p.Name)
			}
		}
	}
	return names
}

// peerDigits and peerIDLength are how nats-server makes a raft id of a server's name
// (getHash in its events.go).
const (
	peerDigits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	peerIDLength = 8
)

// PeerID returns the id that a node has in every raft group. It depends on the name
// alone, so that a node that no server remembers can still be named.
func PeerID(name string) string {
	sum := sha256.Sum256([]byte(name))
	id := make([]byte, peerIDLength)
	for i := range id {
		id[i] = peerDigits[int(sum[i])%len(peerDigits)]
	}
	return string(id)
}
