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
// back at once. What it cannot find out afterwards does not undo the revocation.
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
	out.Rekey, err = needNewKey(ctx, st, id)
	both.Wait()
	s.cfg.Bus.UserChanged(ctx, st, u)
	if err != nil {
		out.Note = "which rooms need a new key is not known: " + err.Error()
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("revoked %s: %s", id.Short(), endedText(out.Nodes)))
	return out, nil
}

// lookers bounds how many rooms are looked at at a time.
const lookers = 8

// needNewKey returns the encrypted rooms whose current key a user has, in order.
func needNewKey(ctx context.Context, st core.Store, id core.UserID) ([]core.RoomID, error) {
	rooms, err := st.Rooms(ctx)
	if err != nil {
		return []core.RoomID{}, err
	}
	rooms = slices.DeleteFunc(rooms, func(r core.Room) bool { return !r.Encrypted })
	var (
		mu    sync.Mutex
		found = []core.RoomID{}
		first error
		next  = make(chan core.Room)
		all   sync.WaitGroup
	)
	for range min(lookers, len(rooms)) {
		all.Go(func() {
			for r := range next {
				_, err := st.Key(ctx, r.ID, r.Epoch, id)
				mu.Lock()
				switch {
				case err == nil:
					found = append(found, r.ID)
				case core.KindOf(err) != core.KindNotFound && first == nil:
					first = err
				}
				mu.Unlock()
			}
		})
	}
	for _, r := range rooms {
		next <- r
	}
	close(next)
	all.Wait()
	slices.Sort(found)
	return found, first
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
