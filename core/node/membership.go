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

// checkSpaceToAdd is checkSpace for a node that is added. The list keeps room for the removal
// of every node, configured ones included: a node that is lost must be replaceable.
func (m *membership) checkSpaceToAdd(node string, configured []string) error {
	needed := map[string]bool{node: true}
	for _, name := range configured {
		needed[name] = true
	}
	for _, c := range m.all() {
		needed[c.Name] = true
	}
	if len(needed) > maxNodeRecords {
		return errMembershipFull()
	}
	return nil
}

// errMembershipFull has a next step without which the list only grows. A node that forgets
// its list learns it again from the others, so all of them have to forget it at the same
// time.
func errMembershipFull() error {
	return core.Errorf(core.KindRefused, "a cluster remembers %d nodes, those that it has and those that were added and removed, and no more", maxNodeRecords).
		WithNext("set nodes = [\"n1\", …] on every node to the nodes that the cluster has now, stop all of them, move %s in each data directory aside, and start them", membershipFile)
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
