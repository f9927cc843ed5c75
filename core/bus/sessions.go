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

// sessions is whose each connection is. One is entered before the decision
// about it, so that a change of its user in between finds it.
type sessions struct {
	limits Limits

	mu     sync.Mutex
	swept  time.Time // when all was swept because there was no slot for a user
	all    map[uint64]*session
	byKey  map[string]map[uint64]*session
	byHost map[string]map[uint64]*session // of those that came over the network

	userSlots, operatorSlots int // admitted over the network; some may have closed
}

// session is one connection.
type session struct {
	id       uint64
	key      string // the key it presented, in upper case; "" without one
	host     string // its address without the port; "" from inside the process
	pipe     bool
	admitted bool
	outdated bool // its user was changed while the decision was being made
	grant    auth.Grant
}

func newSessions(limits Limits) *sessions {
	return &sessions{
		limits: limits, all: map[uint64]*session{},
		byKey: map[string]map[uint64]*session{}, byHost: map[string]map[uint64]*session{},
	}
}

// enter puts a connection into the table. KindRefused where its address has too many.
func (t *sessions) enter(srv *server.Server, id uint64, r auth.Request) (*session, error) {
	ses := &session{id: id, pipe: r.Pipe}
	if uid, err := core.ParseUserID(r.Key); err == nil {
		ses.key = string(uid)
	}
	if !r.Pipe {
		ses.host = hostOf(r.Remote)
	}
	live := srv.NumClients()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) > 2*live+64 {
		t.sweep(srv, t.all)
	}
	if here := t.byHost[ses.host]; !r.Pipe && len(here) >= t.limits.PerAddress {
		if t.sweep(srv, here); len(here) >= t.limits.PerAddress {
			return ses, core.Errorf(core.KindRefused, "%s has %d connections, and one address may have %d", ses.host, len(here), t.limits.PerAddress).
				WithNext("close some of them, or raise --max-connections-per-address")
		}
	}
	t.all[id] = ses
	put(t.byKey, ses.key, ses)
	if !r.Pipe {
		put(t.byHost, ses.host, ses)
	}
	return ses, nil
}

func put(index map[string]map[uint64]*session, key string, ses *session) {
	if index[key] == nil {
		index[key] = map[uint64]*session{}
	}
	index[key][ses.id] = ses
}

func take(index map[string]map[uint64]*session, key string, ses *session) {
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

// sweep forgets those of some connections that have closed; nats-server does not
// tell. Over the whole table it runs when half of it or more is stale, so that
// each admission pays for a few entries.
func (t *sessions) sweep(srv *server.Server, some map[uint64]*session) {
	for id, ses := range some {
		if srv.GetClient(id) == nil {
			t.remove(ses)
		}
	}
}

// remove is for callers that hold mu.
func (t *sessions) remove(ses *session) {
	if t.all[ses.id] != ses {
		return
	}
	delete(t.all, ses.id)
	if ses.admitted && !ses.pipe {
		*t.counter(ses.grant)--
	}
	take(t.byKey, ses.key, ses)
	if !ses.pipe {
		take(t.byHost, ses.host, ses)
	}
}

func (t *sessions) forget(ses *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(ses)
}

// begin says that the decision is made from now on.
func (t *sessions) begin(ses *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ses.outdated = false
}

// admit is false where the user was changed since begin. KindUnavailable where there is no slot.
func (t *sessions) admit(srv *server.Server, ses *session, grant auth.Grant) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ses.outdated {
		return false, nil
	}
	if err := t.slot(srv, ses, grant); err != nil {
		return false, err
	}
	ses.admitted, ses.grant = true, grant
	if !ses.pipe && t.all[ses.id] == ses {
		*t.counter(grant)++
	}
	return true, nil
}

// end ends the sessions of a key that are over, and has those decided anew that
// are being admitted. It returns how many of both there were.
func (t *sessions) end(srv *server.Server, key string, over func(auth.Grant) bool) int {
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
		case ses.admitted && over(ses.grant):
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

// users are the keys of everybody who was admitted over the network to BUS.
func (t *sessions) users() []string {
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

// grants are the distinct ones of a key's sessions.
func (t *sessions) grants(key string) []auth.Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []auth.Grant
	for _, ses := range t.byKey[key] {
		if ses.admitted && !slices.ContainsFunc(out, func(g auth.Grant) bool { return same(g, ses.grant) }) {
			out = append(out, ses.grant)
		}
	}
	return out
}

func same(a, b auth.Grant) bool { return a.Who == b.Who && slices.Equal(a.Rooms, b.Rooms) }

// network counts the open connections that came over the network.
func (t *sessions) network(srv *server.Server) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(srv, t.all)
	n := 0
	for _, ses := range t.all {
		if ses.admitted && !ses.pipe {
			n++
		}
	}
	return n
}

// DisconnectUser ends every session of a key at this node and returns how many
// there were, those being admitted included: they are decided anew. Change the
// directory first: clients come back at once.
func (s *Server) DisconnectUser(key string) int {
	return s.gate.table.end(s.gate.srv.Load(), key, func(auth.Grant) bool { return true })
}

// DisconnectWhere is DisconnectUser for those sessions whose grant is over.
func (s *Server) DisconnectWhere(key string, over func(auth.Grant) bool) int {
	return s.gate.table.end(s.gate.srv.Load(), key, over)
}

// Review ends the sessions of users whom the directory would now grant
// something else, and returns how many there were. Where the directory cannot
// be asked they go on. It returns early when ctx ends.
func (s *Server) Review(ctx context.Context, current func(context.Context, auth.Grant) (bool, error)) int {
	n := 0
	for _, key := range s.gate.table.users() {
		if ctx.Err() != nil {
			break
		}
		n += s.ReviewUser(ctx, key, current)
	}
	return n
}

// ReviewUser is Review for the sessions of one key.
func (s *Server) ReviewUser(ctx context.Context, key string, current func(context.Context, auth.Grant) (bool, error)) int {
	n := 0
	for _, grant := range s.gate.table.grants(key) {
		if ok, err := current(ctx, grant); !ok && err == nil {
			n += s.DisconnectWhere(key, func(g auth.Grant) bool { return same(g, grant) })
		}
	}
	return n
}

// Connections is how many clients are connected over the network.
func (s *Server) Connections() int {
	srv := s.running()
	if srv == nil {
		return 0
	}
	return s.gate.table.network(srv)
}
