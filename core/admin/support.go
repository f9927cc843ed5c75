package admin

import (
	"context"
	"encoding/json"

	"unibus/core"
	"unibus/core/cluster"
)

// support hands out the node's configuration and log. It needs the role admin and is in the
// audit, because both hold what a viewer does not see: addresses of clients, and file names.
func (s *Service) support(ctx context.Context, op core.Operator, _ []byte) (any, error) {
	report, err := s.cfg.Cluster.SupportReport(ctx)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "took a support bundle from "+s.cfg.Node)
	return report, nil
}

// Support is a node's support.Report, with the listed fields alone. KindUnavailable where the
// node does not answer.
func (c *Client) Support(ctx context.Context, node string) (json.RawMessage, error) {
	return call[json.RawMessage](ctx, c, TargetNode(node), verbSupport, nil)
}

// EventsOf are what a named node recorded.
func (c *Client) EventsOf(ctx context.Context, node string, req EventsRequest) (Events, error) {
	return call[Events](ctx, c, TargetNode(node), verbEvents, req)
}
