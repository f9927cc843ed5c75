package node

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"unibus/core"
)

// membershipFile is where a node keeps which nodes commands have added and removed.
const membershipFile = "nodes.json"

// maxNodeChanges bounds the list: it is part of what every node says of itself.
const maxNodeChanges = 200

// membership holds which nodes commands have added to the cluster, and removed from
// it. The list only grows, and a removal is final. So the union of two nodes' lists is
// right whatever each of them missed, and a node that was removed cannot come back.
type membership struct {
	path string

	mu      sync.Mutex
	list    map[string]core.NodeChange // by name
	unsaved error                      // why the list is not on disk
}

// load reads the file. A damaged file is an error: a start without it would accept removed nodes.
func (m *membership) load() error {
	all, err := readDecisions[core.NodeChange](m.path)
	if err != nil {
		return core.Errorf(core.KindFailed, "the list of nodes that were added and removed, %s, cannot be read: %w", m.path, err).
			WithNext("copy the file of this name from another node's data directory; without one, move the file away")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range all {
		m.list[c.Name] = c
	}
	return nil
}

// add merges changes and returns those that are new. They count at once, and are on disk
// if there is no error.
func (m *membership) add(some []core.NodeChange) ([]core.NodeChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var fresh []core.NodeChange
	for _, c := range some {
		before, known := m.list[c.Name]
		if _, err := core.ParseNodeName(c.Name); err != nil || known && !c.Supersedes(before) || !known && len(m.list) >= maxNodeChanges {
			continue
		}
		m.list[c.Name] = c
		fresh = append(fresh, c)
	}
	if len(fresh) == 0 && m.unsaved == nil {
		return nil, nil
	}
	m.unsaved = writeDecisions(m.path, m.sorted())
	return fresh, m.unsaved
}

// decide adds a change that was decided here. Without it on disk it does not count.
func (m *membership) decide(c core.NodeChange) error {
	m.mu.Lock()
	before, known := m.list[c.Name]
	m.mu.Unlock()
	if _, err := m.add([]core.NodeChange{c}); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.list, c.Name)
		if known {
			m.list[c.Name] = before
		}
		return core.Errorf(core.KindFailed, "it cannot be written down that %s was %s: %w", c.Name, c.State, err).WithNext("check the disk of this node, and run the same command again")
	}
	if now, ok := m.of(c.Name); !ok || now.State != c.State {
		return core.Errorf(core.KindRefused, "%d nodes were added or removed by command, and a cluster remembers no more than that", maxNodeChanges)
	}
	return nil
}

// all returns every change, by name.
func (m *membership) all() []core.NodeChange {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sorted()
}

// sorted is all for a caller that holds mu.
func (m *membership) sorted() []core.NodeChange {
	return slices.SortedFunc(maps.Values(m.list), func(a, b core.NodeChange) int { return cmp.Compare(a.Name, b.Name) })
}

// of returns what a command decided about a node.
func (m *membership) of(name string) (core.NodeChange, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.list[name]
	return c, ok
}

// fault is why the list is not on disk; "" where it is.
func (m *membership) fault() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unsaved == nil {
		return ""
	}
	return m.unsaved.Error()
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
