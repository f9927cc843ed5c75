package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"unibus/core"
	"unibus/core/cluster"
)

// userRevoke denies the user first, and only then ends sessions: clients come
// back at once. An error after that does not undo the revocation.
func (s *Service) userRevoke(ctx context.Context, op core.Operator, req userRequest) (any, error) {
	st, id, err := s.storeAndUser(req.ID)
	if err != nil {
		return nil, err
	}
	u, err := st.SetUserStatus(ctx, id, core.UserRevoked, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	out := Revoked{User: u}
	var both sync.WaitGroup
	both.Go(func() { out.Nodes = s.cfg.Sessions.End(ctx, u) })
	out.Rekey, err = st.RoomsOpenedBy(ctx, id)
	both.Wait()
	s.cfg.Bus.UserChanged(ctx, st, u)
	if err != nil {
		out.Note = "which rooms need a new key is not known: " + err.Error()
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("revoked %s: %s", id.Short(), endedText(out.Nodes)))
	return out, nil
}

// endedText says in a line what became of a revoked user's sessions.
func endedText(nodes map[string]Ended) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		switch e := nodes[name]; {
		case e.Unknown:
			parts = append(parts, name+" unknown")
		case e.Ended == 1:
			parts = append(parts, name+" ended 1 session")
		default:
			parts = append(parts, fmt.Sprintf("%s ended %d sessions", name, e.Ended))
		}
	}
	return strings.Join(parts, ", ")
}
