package bus

import (
	"slices"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core/auth"
)

// Present returns whose open sessions have a grant for which in is true and
// listen to a subject of BUS: their keys in order, each once, at most limit, and
// how many more there are. Who may listen and does not is not told what is said there.
func (s *Server) Present(in func(auth.Grant) bool, subject string, limit int) (keys []string, more int) {
	srv := s.gate.srv.Load()
	if srv == nil {
		return nil, 0
	}
	able := s.gate.table.granted(in)
	if len(able) == 0 { // nobody needs to be looked at
		return nil, 0
	}
	for _, id := range listening(srv, subject) {
		if key := able[id]; key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) > limit {
		keys, more = keys[:limit], len(keys)-limit
	}
	return keys, more
}

// granted are the sessions with a grant for which in is true, with their keys;
// some may have closed, which nats-server does not tell.
func (t *sessions) granted(in func(auth.Grant) bool) map[uint64]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := map[uint64]string{}
	for id, ses := range t.all {
		if ses.key != "" && ses.admitted && in(ses.grant) {
			keys[id] = ses.key
		}
	}
	return keys
}

// listening are the open connections with a subscription that covers a subject.
func listening(srv *server.Server, subject string) []uint64 {
	found, err := srv.Connz(&server.ConnzOptions{Account: auth.AccountBus, FilterSubject: subject, Limit: maxListening})
	if err != nil { // only for options that it does not know
		return nil
	}
	ids := make([]uint64, 0, len(found.Conns))
	for _, c := range found.Conns {
		ids = append(ids, c.Cid)
	}
	return ids
}

// maxListening is how many connections are looked at, more than a node ever has.
const maxListening = 1 << 20
