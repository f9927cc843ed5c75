package bus

import (
	"context"
	"encoding/base64"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// Authenticator decides about connections; core/auth has the real one.
type Authenticator interface {
	Decide(ctx context.Context, r auth.Request) (auth.Grant, error)
}

// gate lets an Authenticator decide about every connection and remembers whose each one is.
type gate struct {
	decider Authenticator
	log     *slog.Logger
	srv     atomic.Pointer[server.Server] // nil until Open has made it

	mu       sync.Mutex
	sessions map[uint64]*session
}

// session is one connection. It is entered before the final decision, so that a
// revocation in between finds it (DESIGN D4).
type session struct {
	key      string // the key it presented, in upper case; "" without one
	pipe     bool
	admitted bool
	ended    bool // DisconnectUser came by while the decision was being made
}

func newGate(a Authenticator, log *slog.Logger) *gate {
	return &gate{decider: a, log: log, sessions: map[uint64]*session{}}
}

// Check is what nats-server calls for every client that wants in.
func (g *gate) Check(c server.ClientAuthentication) bool {
	srv := g.srv.Load()
	if srv == nil || c.Kind() != server.CLIENT {
		return false
	}
	r := requestOf(c)
	ses := g.enter(srv, c.GetID(), r)
	grant, err := g.decider.Decide(context.Background(), r)
	if err == nil {
		err = register(srv, c, grant)
	}
	if err != nil || !g.admit(ses) {
		g.forget(c.GetID(), ses)
		g.refused(r, err)
		return false
	}
	return true
}

func (g *gate) refused(r auth.Request, err error) {
	if err == nil {
		err = core.Errorf(core.KindRefused, "the user was revoked meanwhile")
	}
	g.log.Info("a connection was refused", "remote", r.Remote, "key", printable(r.Key), "reason", err.Error())
}

// printable keeps foreign text out of the log unless it is a key.
func printable(key string) string {
	if key == "" {
		return ""
	}
	id, err := core.ParseUserID(key)
	if err != nil {
		return "not a key"
	}
	return string(id)
}

func requestOf(c server.ClientAuthentication) auth.Request {
	o := c.GetOpts()
	r := auth.Request{
		Key:                 o.Nkey,
		Nonce:               c.GetNonce(),
		Signature:           signature(o.Sig),
		HasOtherCredentials: o.JWT != "" || o.Username != "" || o.Password != "" || o.Token != "" || o.ProxySig != "",
		WantAccount:         o.Account,
	}
	if o.AccountNew && r.WantAccount == "" {
		r.WantAccount = "a new one"
	}
	if addr := c.RemoteAddress(); addr != nil {
		r.Pipe = addr.Network() == "pipe"
		r.Remote = addr.String()
	}
	return r
}

// signature decodes what a client sent; what cannot be decoded stays something, so that it is seen to be wrong.
func signature(text string) []byte {
	if sig, err := base64.RawURLEncoding.DecodeString(text); err == nil {
		return sig
	}
	if sig, err := base64.StdEncoding.DecodeString(text); err == nil {
		return sig
	}
	return []byte(text)
}

// register gives the connection its account and permissions.
func register(srv *server.Server, c server.ClientAuthentication, grant auth.Grant) error {
	acc, err := srv.LookupAccount(grant.Account)
	if err != nil {
		return core.Errorf(core.KindFailed, "the account %q of this connection does not exist", grant.Account)
	}
	c.RegisterUser(&server.User{
		Account:     acc,
		Username:    grant.Identity,
		Permissions: &server.Permissions{Publish: allow(grant.Publish), Subscribe: allow(grant.Subscribe)},
	})
	return nil
}

// allow is an allow-list. An empty one must deny everything, and nats-server
// reads an empty list of subscriptions as "everything".
func allow(subjects []string) *server.SubjectPermission {
	if len(subjects) == 0 {
		return &server.SubjectPermission{Allow: []string{}, Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: subjects}
}

func (g *gate) enter(srv *server.Server, id uint64, r auth.Request) *session {
	key := ""
	if uid, err := core.ParseUserID(r.Key); err == nil {
		key = string(uid)
	}
	ses := &session{key: key, pipe: r.Pipe}
	live := srv.NumClients()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.sessions) > 2*live+64 {
		g.sweep(srv)
	}
	g.sessions[id] = ses
	return ses
}

// sweep forgets connections that have closed; nats-server does not tell. It runs
// when half the table or more is stale, so that each admission pays for a few entries.
func (g *gate) sweep(srv *server.Server) {
	for id := range g.sessions {
		if srv.GetClient(id) == nil {
			delete(g.sessions, id)
		}
	}
}

func (g *gate) admit(ses *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ses.admitted = !ses.ended
	return ses.admitted
}

func (g *gate) forget(id uint64, ses *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[id] == ses {
		delete(g.sessions, id)
	}
}

// disconnect ends the sessions of a key and returns how many there were, those that were being admitted included.
func (g *gate) disconnect(key string) int {
	srv := g.srv.Load()
	uid, err := core.ParseUserID(key)
	if srv == nil || err != nil {
		return 0
	}
	var admitted []uint64
	n := 0
	g.mu.Lock()
	for id, ses := range g.sessions {
		if ses.key != string(uid) || ses.ended {
			continue
		}
		ses.ended = true
		if ses.admitted {
			admitted = append(admitted, id)
		} else {
			n++
		}
	}
	g.mu.Unlock()
	for _, id := range admitted {
		if srv.DisconnectClientByID(id) == nil {
			n++
		}
	}
	return n
}

// network counts the open connections that came over the network.
func (g *gate) network() int {
	srv := g.srv.Load()
	if srv == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(srv)
	n := 0
	for _, ses := range g.sessions {
		if ses.admitted && !ses.pipe {
			n++
		}
	}
	return n
}
