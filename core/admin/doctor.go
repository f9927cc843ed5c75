package admin

import (
	"context"

	"unibus/core"
	"unibus/core/doctor"
)

// doctor checks the control plane for an operator.
func (s *Service) doctor(ctx context.Context, _ core.Operator, req DoctorRequest) (any, error) {
	checks, err := s.cfg.Checker.Check(ctx, req)
	if err != nil {
		return nil, err
	}
	return doctor.Report{Node: s.cfg.Node, At: s.cfg.Now(), Checks: checks}, nil
}

// Doctor has one node check the control plane. It reads every replica, and may take minutes.
func (c *Client) Doctor(ctx context.Context, req DoctorRequest) (doctor.Report, error) {
	return call[doctor.Report](ctx, c, TargetAny, verbDoctor, req)
}
