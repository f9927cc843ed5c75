package bus

import "unibus/core/auth"

// Clients is how many open sessions are of users, or of clients that nobody
// vouches for: operators and this process' own connections are not counted.
func (s *Server) Clients() int {
	srv := s.running()
	if srv == nil {
		return 0
	}
	t := s.gate.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(srv, t.all)
	n := 0
	for _, ses := range t.all {
		if ses.admitted && (ses.grant.Who == auth.WhoUser || ses.grant.Who == auth.WhoAnonymous) {
			n++
		}
	}
	return n
}
