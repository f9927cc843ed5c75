package bus

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// Authenticator decides about connections; core/auth has the real one.
type Authenticator interface {
	Decide(ctx context.Context, r auth.Request) (auth.Grant, error)
	// OperatorGrants are those of the operators as they are configured now.
	OperatorGrants() []auth.Grant
}

// gate lets an Authenticator decide about every connection and remembers whose each one is.
type gate struct {
	decider Authenticator
	table   *sessions
	notes   *refusals
	own     ownAccounts
	srv     atomic.Pointer[server.Server] // nil until Open has made it
}

func newGate(a Authenticator, limits Limits, log *slog.Logger) *gate {
	return &gate{decider: a, table: newSessions(limits), notes: &refusals{log: log}}
}

// decideTries bounds how often a connection is decided anew because its user
// was changed in the meantime.
const decideTries = 5

// Check is what nats-server calls for every client that wants in.
func (g *gate) Check(c server.ClientAuthentication) bool {
	srv := g.srv.Load()
	if srv == nil || c.Kind() != server.CLIENT {
		return false
	}
	r := requestOf(c)
	ses, err := g.table.enter(srv, c.GetID(), r)
	if err == nil {
		err = g.admit(srv, c, r, ses)
	}
	if err != nil {
		g.table.forget(ses)
		g.notes.refused(r, err)
		if errors.Is(err, errNoSlot) {
			g.noSlot(srv, c)
		}
		return false
	}
	return true
}

// admit decides about a connection that has been entered. A change of its user
// that arrives from now on marks the session, and then everything is asked
// again: none slips in between an answer and its use (DESIGN D4).
func (g *gate) admit(srv *server.Server, c server.ClientAuthentication, r auth.Request, ses *session) error {
	for range decideTries {
		g.table.begin(ses)
		grant, err := g.decider.Decide(context.Background(), r)
		if err != nil {
			return err
		}
		if err := g.register(srv, c, grant); err != nil {
			return err
		}
		if ok, err := g.table.admit(srv, ses, grant); ok || err != nil {
			return err
		}
	}
	return core.Errorf(core.KindUnavailable, "the user was changed again and again while it connected").WithNext("connect again")
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
func (g *gate) register(srv *server.Server, c server.ClientAuthentication, grant auth.Grant) error {
	acc, err := g.own.account(srv, grant)
	if err != nil {
		return err
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
