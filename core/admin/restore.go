package admin

import (
	"context"
	"fmt"

	"unibus/core"
	"unibus/core/cluster"
)

// ClusterRestorer fills a new cluster with a backup; *backup.ClusterRestorer is one.
type ClusterRestorer interface {
	// Part takes a part of the database. KindUnavailable while another admin brings one.
	Part(by core.Operator, req core.RestorePartRequest) (core.RestorePart, error)
	// Run puts it into the buckets. KindRefused where the cluster is not new and empty.
	Run(ctx context.Context, by core.Operator, req core.RestoreRequest) (core.ClusterRestored, error)
}

func errRestoreAlone(node string) error {
	return core.Errorf(core.KindRefused, "%s is a node alone, and has no buckets to restore into", node).WithNext("stop it, move its database away, then: unibusd restore --from FILE --db FILE")
}

func (s *Service) restore(ctx context.Context, op core.Operator, req core.RestoreRequest) (any, error) {
	if s.cfg.Restorer == nil {
		return nil, errRestoreAlone(s.cfg.Node)
	}
	done, err := s.cfg.Restorer.Run(ctx, op, req)
	if err != nil {
		return nil, err
	}
	rows := 0
	for _, t := range done.Tables {
		rows += t.Count
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("restored a backup into the cluster, on %s (%d rows)", s.cfg.Node, rows))
	return done, nil
}

func (s *Service) restorePart(_ context.Context, op core.Operator, req core.RestorePartRequest) (any, error) {
	if s.cfg.Restorer == nil {
		return nil, errRestoreAlone(s.cfg.Node)
	}
	return s.cfg.Restorer.Part(op, req)
}

// RestoreNode is the node that a backup is brought to: the one that is connected.
func (c *Client) RestoreNode(ctx context.Context) (string, error) {
	st, err := c.Status(ctx)
	return st.From, err
}

// RestorePart brings a node a part of a database.
func (c *Client) RestorePart(ctx context.Context, node string, req core.RestorePartRequest) (core.RestorePart, error) {
	return call[core.RestorePart](ctx, c, TargetNode(node), verbRestorePart, req)
}

// Restore has a node fill the new cluster with what it was brought, which may take minutes.
func (c *Client) Restore(ctx context.Context, node string, req core.RestoreRequest) (core.ClusterRestored, error) {
	return call[core.ClusterRestored](ctx, c, TargetNode(node), verbRestore, req)
}
