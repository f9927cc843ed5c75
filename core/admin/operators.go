package admin

import (
	"context"
	"fmt"

	"unibus/core"
	"unibus/core/cluster"
)

// operatorRemove has every node refuse a key. It needs no store and no quorum:
// operators are in the nodes' own files.
func (s *Service) operatorRemove(ctx context.Context, op core.Operator, req operatorRequest) (any, error) {
	key, err := core.ParseUserID(req.ID)
	if err != nil {
		return nil, err
	}
	if string(key) == op.Key {
		return nil, core.Errorf(core.KindRefused, "%s cannot remove the key that signs this request", op.Name).
			WithNext("ask another admin to run `unibusd operator remove %s`", key)
	}
	out, err := s.cfg.Removal.Remove(ctx, op, key)
	if err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("removed the operator %s (%s): %s", out.Name, key.Short(), endedText(out.Nodes)))
	return out, nil
}
