package admin

import (
	"context"

	"unibus/core"
	"unibus/core/cluster"
)

func (s *Service) nodeAdd(ctx context.Context, op core.Operator, req nodeRequest) (any, error) {
	out, err := s.cfg.Membership.Add(ctx, op, req.Name)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "added the node "+out.Name)
	return out, nil
}

func (s *Service) nodeRemove(ctx context.Context, op core.Operator, req nodeRequest) (any, error) {
	out, err := s.cfg.Membership.Remove(ctx, op, req.Name)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "removed the node "+out.Name+" for good")
	return out, nil
}
