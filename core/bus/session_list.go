package bus

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// clientLibrary is what a client says of itself. Nothing proves it.
type clientLibrary struct{ name, lang, version string }

// maxClientText bounds each text that a client says of itself, in bytes.
const maxClientText = 64

func libraryOf(c server.ClientAuthentication) clientLibrary {
	o := c.GetOpts()
	return clientLibrary{core.CutText(o.Name, maxClientText), core.CutText(o.Lang, maxClientText), core.CutText(o.Version, maxClientText)}
}

// Session is an open session of a user, or of a client without an identity.
type Session struct {
	ID      uint64 // nats-server's number of the connection, counted since the server's start
	Key     string // the user; "" without an identity
	Since   time.Time
	Address string // with the port
	Name    string // these three are the client's own words
	Lang    string
	Version string
	Rooms   int // those that it may use
}

// SessionQuery selects sessions in the order of their keys and then of their ids.
type SessionQuery struct {
	Key      string // "": of every user
	AfterKey string // with AfterID: those behind a session that need not be there any more
	AfterID  uint64
	Limit    int
}

// Sessions returns the first of the selected sessions, and how many are selected, those before
// the cursor included.
func (s *Server) Sessions(q SessionQuery) (list []Session, total int) {
	srv := s.running()
	if srv == nil {
		return nil, 0
	}
	return s.auth.sessions.list(srv, q)
}

func (t *sessionTable) list(srv *server.Server, q SessionQuery) (list []Session, total int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	some := t.all
	if q.Key != "" {
		some = t.byKey[q.Key]
	}
	t.sweep(srv, some)
	var found []*session
	for _, ses := range some {
		if !ses.isListed() || q.Key != "" && ses.grant.Identity != q.Key {
			continue
		}
		total++
		if compareSession(ses, q.AfterKey, q.AfterID) > 0 {
			found = append(found, ses)
		}
	}
	slices.SortFunc(found, func(a, b *session) int { return compareSession(a, b.grant.Identity, b.id) })
	for _, ses := range found[:min(len(found), q.Limit)] {
		list = append(list, Session{
			ID: ses.id, Key: ses.grant.Identity, Since: ses.since, Address: ses.remote,
			Name: ses.client.name, Lang: ses.client.lang, Version: ses.client.version, Rooms: len(ses.grant.Rooms),
		})
	}
	return list, total
}

// isListed is true for sessions of users and of clients without an identity.
func (ses *session) isListed() bool {
	return ses.admitted && (ses.grant.Kind == auth.KindUser || ses.grant.Kind == auth.KindAnonymous)
}

func compareSession(a *session, key string, id uint64) int {
	return cmp.Or(strings.Compare(a.grant.Identity, key), cmp.Compare(a.id, id))
}

// EndSession ends one session that Sessions lists, and returns whose it was. false where it is gone.
func (s *Server) EndSession(id uint64) (key string, ended bool) {
	srv := s.running()
	if srv == nil {
		return "", false
	}
	t := s.auth.sessions
	t.mu.Lock()
	ses := t.all[id]
	if ses == nil || !ses.isListed() {
		t.mu.Unlock()
		return "", false
	}
	t.remove(ses)
	t.mu.Unlock()
	return ses.grant.Identity, srv.DisconnectClientByID(id) == nil
}

// EndSessions ends the open sessions of a user, and returns how many there were.
func (s *Server) EndSessions(key string) int {
	return s.DisconnectWhere(key, func(g auth.Grant) bool { return g.Kind == auth.KindUser })
}

// TakeSeen returns the users who had a session since the last call: those who were admitted,
// and those whose session is open still. Each is there once.
func (s *Server) TakeSeen() []string {
	srv := s.running()
	if srv == nil {
		return nil
	}
	t := s.auth.sessions
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(srv, t.all)
	for _, ses := range t.all {
		if ses.admitted {
			t.markSeen(ses.grant)
		}
	}
	keys := slices.Collect(maps.Keys(t.seen))
	t.seen = map[string]struct{}{}
	return keys
}

// markSeen notes that a user has a session. The caller holds mu.
func (t *sessionTable) markSeen(g auth.Grant) {
	if g.Kind == auth.KindUser {
		t.seen[g.Identity] = struct{}{}
	}
}
