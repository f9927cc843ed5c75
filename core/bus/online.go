package bus

import (
	"slices"

	"unibus/core/auth"
)

// Present returns whose open sessions have a grant for which in is true: their
// keys in order, each once, at most limit, and how many more there are.
func (s *Server) Present(in func(auth.Grant) bool, limit int) (keys []string, more int) {
	srv := s.gate.srv.Load()
	if srv == nil {
		return nil, 0
	}
	t := s.gate.table
	t.mu.Lock()
	for key, some := range t.byKey {
		for id, ses := range some {
			if key != "" && ses.admitted && in(ses.grant) && srv.GetClient(id) != nil { // nats-server does not tell of those that have closed
				keys = append(keys, key)
				break
			}
		}
	}
	t.mu.Unlock()
	slices.Sort(keys)
	if len(keys) > limit {
		keys, more = keys[:limit], len(keys)-limit
	}
	return keys, more
}
