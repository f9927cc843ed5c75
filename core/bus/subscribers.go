package bus

import (
	"slices"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core/auth"
)

// Subscribers returns the keys whose open sessions have a grant that matches and a
// subscription that covers a subject of BUS: in order, each once, at most limit, and
// how many more there are. A session that may subscribe and does not is left out.
func (s *Server) Subscribers(matches func(auth.Grant) bool, subject string, limit int) (keys []string, more int) {
	srv := s.auth.srv.Load()
	if srv == nil {
		return nil, 0
	}
	granted := s.auth.sessions.keysWithGrant(matches)
	if len(granted) == 0 { // nats-server need not be asked
		return nil, 0
	}
	for _, id := range subscribedConnections(srv, subject) {
		if key := granted[id]; key != "" {
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

// keysWithGrant returns the keys of admitted sessions by connection. Some may have
// closed, which nats-server does not tell.
func (t *sessionTable) keysWithGrant(matches func(auth.Grant) bool) map[uint64]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := map[uint64]string{}
	for id, ses := range t.all {
		if ses.key != "" && ses.admitted && matches(ses.grant) {
			keys[id] = ses.key
		}
	}
	return keys
}

// subscribedConnections are the open connections with a subscription that covers a subject.
func subscribedConnections(srv *server.Server, subject string) []uint64 {
	found, err := srv.Connz(&server.ConnzOptions{Account: auth.AccountBus, FilterSubject: subject, Limit: maxConnz})
	if err != nil { // only for options that nats-server does not know
		return nil
	}
	ids := make([]uint64, 0, len(found.Conns))
	for _, c := range found.Conns {
		ids = append(ids, c.Cid)
	}
	return ids
}

// maxConnz is how many connections one answer may list, more than a node ever has.
const maxConnz = 1 << 20
