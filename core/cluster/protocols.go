package cluster

import (
	"unibus/core"
)

// NewestReadable is the highest version of a row that every node of the View can read, as
// far as it ever said, and the node that limits it. name is "" without nodes.
func NewestReadable(v View) (version int, name string) {
	version = core.ProtocolVersion
	for _, n := range v.Nodes {
		if n.Info == nil {
			continue
		}
		if p := n.Info.Protocols.OrFirst(); p.Newest < version {
			version, name = p.Newest, n.Name
		}
	}
	return version, name
}

// ProtocolConflict is why the named node must not run: it and a majority of the nodes that
// answer have no protocol in common. nil where it may. A node alone is never in conflict.
func ProtocolConflict(v View, name string) error {
	own, ok := v.node(name)
	if !ok || own.Info == nil {
		return nil
	}
	var others []Info
	for _, i := range v.infos() {
		if i.Name != name && !i.Protocols.WorkWith(own.Info.Protocols) {
			others = append(others, i)
		}
	}
	if len(others) <= v.Expected/2 {
		return nil
	}
	return core.Errorf(core.KindRefused, "this node cannot work with the cluster: %s runs unibusd %s, which speaks %s, and %s runs %s, which speaks %s",
		name, own.Info.Version, own.Info.Protocols, others[0].Name, others[0].Version, others[0].Protocols).
		WithNext("run a release on %s that follows theirs or comes before it: docs/operations/upgrades.md", name)
}
