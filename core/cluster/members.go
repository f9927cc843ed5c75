package cluster

import (
	"crypto/sha256"
	"slices"

	"unibus/core"
)

// memberNodes is which nodes belong to the cluster: those in the observing node's
// configuration, as commands have changed them since.
type memberNodes struct {
	names    []string // nil: the configuration lists none
	expected int      // how many there are
	removed  []core.NodeChange
	added    []core.NodeChange
}

func (m memberNodes) isRemoved(name string) bool {
	return slices.ContainsFunc(m.removed, func(c core.NodeChange) bool { return c.Name == name })
}

// isForeign is true for a name that no node of the cluster has.
func (m memberNodes) isForeign(name string) bool {
	return m.isRemoved(name) || len(m.names) > 0 && !slices.Contains(m.names, name)
}

// members combines the configuration with the commands' changes. Changes count only
// where the configuration lists the nodes' names: routes do not say whose they are.
func (c Config) members() memberNodes {
	out := memberNodes{expected: c.Expected}
	if len(c.Nodes) == 0 || c.Changes == nil {
		out.names = c.Nodes
		return out
	}
	for _, ch := range c.Changes() {
		if ch.State == core.NodeRemoved {
			out.removed = append(out.removed, ch)
		} else {
			out.added = append(out.added, ch)
		}
	}
	out.names = slices.DeleteFunc(slices.Clone(c.Nodes), out.isRemoved)
	for _, ch := range out.added {
		if !slices.Contains(out.names, ch.Name) {
			out.names = append(out.names, ch.Name)
		}
	}
	out.expected = len(out.names)
	return out
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
