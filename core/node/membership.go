package node

import (
	"errors"
	"slices"

	"unibus/core"
)

// membershipFile is where a node keeps which nodes commands have added and removed.
const membershipFile = "nodes.json"

// membership holds which nodes commands have added to the cluster, and removed from
// it. The list only grows, and a removal is final. So the union of two nodes' lists is
// right whatever each of them missed, and a node that was removed cannot come back.
type membership struct {
	replicatedList[core.NodeChange]
}

// load reads the file. A damaged file is an error: a start without it would accept removed nodes.
func (m *membership) load() error {
	if err := m.read(); err != nil {
		return core.Errorf(core.KindFailed, "the list of nodes that were added and removed, %s, cannot be read: %w", m.path, err).
			WithNext("copy the file of this name from another node's data directory; without one, move the file away")
	}
	return nil
}

// checkSpace refuses a change that put would refuse because the list is full: before
// anything else is done for it.
func (m *membership) checkSpace(node string) error {
	if !m.hasSpace(node) {
		return errMembershipFull()
	}
	return nil
}

func errMembershipFull() error {
	return core.Errorf(core.KindRefused, "%d nodes were added or removed by command, and a cluster remembers no more than that", maxNodeRecords).
		WithNext("set nodes = [\"n1\", …] on every node to the nodes that it shall have, and restart them one after the other")
}

// put adds a change that was decided here. Without it on disk it does not count.
func (m *membership) put(c core.NodeChange) error {
	switch err := m.replicatedList.put(c); {
	case errors.Is(err, errListFull):
		return errMembershipFull()
	case err != nil:
		return core.Errorf(core.KindFailed, "it cannot be written down that %s was %s: %w", c.Name, c.State, err).WithNext("check the disk of this node, and run the same command again")
	}
	if now, _ := m.of(c.Name); now.State != c.State {
		return core.Errorf(core.KindConflict, "%s was %s by %s at the same time, and that counts", c.Name, now.State, now.By).WithNext("look at it: unibusd node list")
	}
	return nil
}

// checkRoute refuses a route to a node that is none of the cluster's. configured are the
// names that the configuration lists; without any, each name is accepted that was not removed.
func (m *membership) checkRoute(configured []string, name string) error {
	c, changed := m.of(name)
	switch {
	case changed && c.State == core.NodeRemoved:
		return core.Errorf(core.KindRefused, "%s was removed from the cluster by %s", name, c.By)
	case len(configured) > 0 && !changed && !slices.Contains(configured, name):
		return core.Errorf(core.KindRefused, "%s is none of the nodes that --nodes lists, and was not added with `unibusd node add`", name)
	}
	return nil
}
