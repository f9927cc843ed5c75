package bus

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// sessionTable tracks which user owns each connection. A connection is entered before
// the decision about it, so that a change of its user during the decision finds it.
type sessionTable struct {
	limits Limits

	mu     sync.Mutex
	swept  time.Time // when the whole table was last swept for a user
	all    map[uint64]*session
	byKey  map[string]map[uint64]*session
	byHost map[string]map[uint64]*session // of the connections over the network
	seen   map[string]struct{}            // users who were admitted since TakeSeen

	userCount, operatorCount int // admitted over the network; some may have closed
	undecided                int // in the table and not admitted
}

// session is one connection.
type session struct {
	id        uint64
	key       string // the key that it presented, in upper case; "" without one
	host      string // its address without the port; "" from inside the process
	inProcess bool
	admitted  bool
	outdated  bool      // its user changed during the decision
	toldAt    time.Time // when this drain told it to connect to another node; zero: it did not
	since     time.Time // when it was admitted
	remote    string    // its address with the port
	client    clientLibrary
	grant     auth.Grant
}

func newSessionTable(limits Limits) *sessionTable {
	return &sessionTable{
		limits: limits, all: map[uint64]*session{},
		byKey: map[string]map[uint64]*session{}, byHost: map[string]map[uint64]*session{}, seen: map[string]struct{}{},
	}
}

// enter puts a connection into the table. errTooManyConnections where its address has too
// many, and KindRefused where it is in the table already: nats-server asks about every
// CONNECT, with the nonce of the first. A second entry would replace the first one and
// leave its count.
func (t *sessionTable) enter(srv *server.Server, id uint64, r auth.Request) (*session, error) {
	ses := &session{id: id, inProcess: r.Pipe, remote: r.Remote}
	if uid, err := core.ParseUserID(r.Key); err == nil {
		ses.key = string(uid)
	}
	if !r.Pipe {
		ses.host = hostOf(r.Remote)
	}
	live := srv.NumClients()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[id] != nil { // it stays until the connection is closed, so that a revocation finds it
		return ses, core.Errorf(core.KindRefused, "the connection presented credentials before").
			WithNext("send CONNECT once, and open another connection for other credentials")
	}
	if len(t.all) > 2*live+64 {
		t.sweep(srv, t.all)
	}
	if here := t.byHost[ses.host]; !r.Pipe && len(here) >= t.limits.PerAddress {
		if t.sweep(srv, here); len(here) >= t.limits.PerAddress {
			return ses, core.Errorf(core.KindUnavailable, "%w: %s has %d, and one address may have %d", errTooManyConnections, ses.host, len(here), t.limits.PerAddress).
				WithNext("close some of them, or raise --max-connections-per-address")
		}
	}
	t.all[id] = ses
	t.undecided++
	addToIndex(t.byKey, ses.key, ses)
	if !r.Pipe {
		addToIndex(t.byHost, ses.host, ses)
	}
	return ses, nil
}

func addToIndex(index map[string]map[uint64]*session, key string, ses *session) {
	if index[key] == nil {
		index[key] = map[uint64]*session{}
	}
	index[key][ses.id] = ses
}

func removeFromIndex(index map[string]map[uint64]*session, key string, ses *session) {
	if delete(index[key], ses.id); len(index[key]) == 0 {
		delete(index, key)
	}
}

// hostOf is an address without its port.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

// sweep removes those of some sessions whose connection has closed; nats-server does
// not tell. enter sweeps the whole table only where half of it or more is stale, so
// that each admission pays for a few entries. The caller holds mu.
func (t *sessionTable) sweep(srv *server.Server, some map[uint64]*session) {
	for id, ses := range some {
		if srv.GetClient(id) == nil {
			t.remove(ses)
		}
	}
}

func (t *sessionTable) sweepAll(srv *server.Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(srv, t.all)
}

// remove is harmless twice. The caller holds mu.
func (t *sessionTable) remove(ses *session) {
	if t.all[ses.id] != ses {
		return
	}
	delete(t.all, ses.id)
	switch {
	case !ses.admitted:
		t.undecided--
	case !ses.inProcess:
		*t.countOf(ses.grant)--
	}
	removeFromIndex(t.byKey, ses.key, ses)
	if !ses.inProcess {
		removeFromIndex(t.byHost, ses.host, ses)
	}
}

func (t *sessionTable) forget(ses *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(ses)
}

// beginDecision marks the moment from which a change of the user makes the decision outdated.
func (t *sessionTable) beginDecision(ses *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ses.outdated = false
}

// admit returns false where the user has changed since beginDecision. KindUnavailable
// where --max-connections is reached.
func (t *sessionTable) admit(srv *server.Server, ses *session, grant auth.Grant) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ses.outdated {
		return false, nil
	}
	if err := t.checkLimit(srv, ses, grant); err != nil {
		return false, err
	}
	if t.all[ses.id] != ses { // the connection closed meanwhile, and was swept
		return false, core.Errorf(core.KindUnavailable, "the connection closed before it was decided")
	}
	ses.admitted, ses.grant, ses.since = true, grant, time.Now()
	t.undecided--
	if !ses.inProcess {
		*t.countOf(grant)++
	}
	t.markSeen(grant)
	return true, nil
}

// end closes the admitted sessions of a key whose grant matches, and marks sessions
// outdated that are not decided yet. It returns how many of both there were.
func (t *sessionTable) end(srv *server.Server, key string, matches func(auth.Grant) bool) int {
	uid, err := core.ParseUserID(key)
	if srv == nil || err != nil {
		return 0
	}
	var ending []uint64
	n := 0
	t.mu.Lock()
	for id, ses := range t.byKey[string(uid)] {
		switch {
		case !ses.admitted && !ses.outdated:
			ses.outdated = true
			n++
		case ses.admitted && matches(ses.grant):
			ending = append(ending, id)
			t.remove(ses)
		}
	}
	t.mu.Unlock()
	for _, id := range ending {
		if srv.DisconnectClientByID(id) == nil {
			n++
		}
	}
	return n
}

// userKeys are the keys of the sessions in BUS, and of those that are not decided yet.
func (t *sessionTable) userKeys() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []string
	for key, some := range t.byKey {
		for _, ses := range some {
			if key != "" && (!ses.admitted || ses.grant.Account == auth.AccountBus) {
				keys = append(keys, key)
				break
			}
		}
	}
	return keys
}

// grants are the distinct grants of a key's sessions.
func (t *sessionTable) grants(key string) []auth.Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []auth.Grant
	for _, ses := range t.byKey[key] {
		if ses.admitted && !slices.ContainsFunc(out, func(g auth.Grant) bool { return sameGrant(g, ses.grant) }) {
			out = append(out, ses.grant)
		}
	}
	return out
}

func sameGrant(a, b auth.Grant) bool { return a.Kind == b.Kind && slices.Equal(a.Rooms, b.Rooms) }

// clients counts the open sessions of users and of anonymous clients.
func (t *sessionTable) clients(srv *server.Server) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(srv, t.all)
	n := 0
	for _, ses := range t.all {
		if ses.admitted && (ses.grant.Kind == auth.KindUser || ses.grant.Kind == auth.KindAnonymous) {
			n++
		}
	}
	return n
}

// DisconnectUser ends every session of a key at this node and returns how many there
// were. Connections that are not decided yet count too: they are decided again. Change
// the directory first, because clients reconnect at once.
func (s *Server) DisconnectUser(key string) int {
	return s.DisconnectWhere(key, func(auth.Grant) bool { return true })
}

// DisconnectWhere is DisconnectUser for the sessions whose grant matches.
func (s *Server) DisconnectWhere(key string, matches func(auth.Grant) bool) int {
	return s.auth.sessions.end(s.auth.srv.Load(), key, matches)
}

// Review ends the sessions whose grant isCurrent denies. It returns how many there
// were, and the keys that it could not review: isCurrent failed for them, or ctx ended
// before. Their sessions go on, and the caller reviews them again.
func (s *Server) Review(ctx context.Context, isCurrent func(context.Context, auth.Grant) (bool, error)) (ended int, unreviewed []string) {
	for _, key := range s.auth.sessions.userKeys() {
		n, err := s.ReviewUser(ctx, key, isCurrent)
		ended += n
		if err != nil {
			unreviewed = append(unreviewed, key)
		}
	}
	return ended, unreviewed
}

// ReviewUser is Review for the sessions of one key. The error is the last one of
// isCurrent or ctx; nil where every session was reviewed.
func (s *Server) ReviewUser(ctx context.Context, key string, isCurrent func(context.Context, auth.Grant) (bool, error)) (ended int, err error) {
	for _, grant := range s.auth.sessions.grants(key) {
		if ctx.Err() != nil {
			return ended, ctx.Err()
		}
		ok, failed := isCurrent(ctx, grant)
		switch {
		case failed != nil:
			err = failed
		case !ok:
			ended += s.DisconnectWhere(key, func(g auth.Grant) bool { return sameGrant(g, grant) })
		}
	}
	return ended, err
}

// Clients is how many open sessions users and anonymous clients have. Operators and
// this process's own connections are not counted.
func (s *Server) Clients() int {
	srv := s.running()
	if srv == nil {
		return 0
	}
	return s.auth.sessions.clients(srv)
}
