package kv

import (
	"context"
	"slices"

	"unibus/core"
)

// Nodes names the nodes that hold a replica of a table, in order, as its leader
// says. KindUnavailable where nobody leads it.
func (s *Store) Nodes(ctx context.Context, t core.Table) ([]string, error) {
	info, err := s.infoAgain(ctx, t.Bucket())
	if err != nil {
		return nil, err
	}
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return nil, core.Errorf(core.KindUnavailable, "%s has no leader", t.Bucket()).WithNext("see which nodes answer: `unibus-tui status`")
	}
	nodes := []string{info.Cluster.Leader}
	for _, r := range info.Cluster.Replicas {
		nodes = append(nodes, r.Name)
	}
	slices.Sort(nodes)
	return nodes, nil
}
