package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

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

func (s *Service) nodeEvacuate(ctx context.Context, op core.Operator, req nodeRequest) (any, error) {
	out, err := s.cfg.Membership.Evacuate(ctx, op, req.Name)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "gave the replicas of the node "+req.Name+" to others")
	return out, nil
}

func (s *Service) nodeDrain(ctx context.Context, op core.Operator, req drainRequest) (any, error) {
	out, err := s.cfg.Membership.Drain(ctx, op, req.Name, time.Duration(req.For)*time.Millisecond)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("drained the node %s until %s", out.Node, out.Until.Time().UTC().Format("2006-01-02 15:04 MST")))
	return out, nil
}

func (s *Service) nodeResume(ctx context.Context, op core.Operator, req nodeRequest) (any, error) {
	out, err := s.cfg.Membership.Resume(ctx, op, req.Name)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "ended the maintenance of the node "+out.Node)
	return out, nil
}

func (s *Service) nodeFence(ctx context.Context, op core.Operator, req nodeRequest) (any, error) {
	out, err := s.cfg.Membership.Fence(ctx, op, req.Name)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "fenced the node "+out.Name+" for good")
	return out, nil
}

func (s *Service) nodeRescue(ctx context.Context, op core.Operator, req rescueRequest) (any, error) {
	out, err := s.cfg.Membership.Rescue(ctx, req.Quorum)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("lowered the quorum to %d, and removed %s for good", out.Quorum, strings.Join(out.Removed, ", ")))
	return out, nil
}
