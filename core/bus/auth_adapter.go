package bus

import (
	"context"
	"encoding/base64"
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

// authAdapter is nats-server's custom authentication of clients. It asks an
// Authenticator about every connection and keeps the session table.
type authAdapter struct {
	decider  Authenticator
	sessions *sessionTable
	refusals *refusalLog
	counts   *admissionCounter
	accounts identityAccounts
	srv      atomic.Pointer[server.Server] // nil until Open has made it
	draining atomic.Bool                   // users are turned away
}

func newAuthAdapter(a Authenticator, limits Limits, log *slog.Logger) *authAdapter {
	return &authAdapter{decider: a, sessions: newSessionTable(limits), refusals: &refusalLog{log: log}, counts: newAdmissionCounter()}
}

// decideTries bounds how often a connection is decided again because its user
// changed during the decision.
const decideTries = 5

// Check implements server.Authentication: nats-server calls it for every CONNECT of a
// client. Only the first CONNECT of a connection can be admitted.
func (a *authAdapter) Check(c server.ClientAuthentication) bool {
	srv := a.srv.Load()
	if srv == nil || c.Kind() != server.CLIENT {
		return false
	}
	r := requestOf(c)
	ses, err := a.sessions.enter(srv, c.GetID(), r)
	if err == nil {
		ses.client = libraryOf(c) // only an admitted session is listed, and admit locks
		err = a.decide(srv, c, r, ses)
	}
	if err != nil {
		a.sessions.forget(ses)
		a.refusals.refused(r, err)
		a.counts.denied(err)
		return answer(srv, c, err)
	}
	return true
}

// admit decides about a connection that is in the session table. A change of its user
// from now on marks the session as outdated, and then everything is asked again. So no
// change is lost between an answer and its use (docs/decisions/0004).
func (a *authAdapter) admit(ctx context.Context, srv *server.Server, c server.ClientAuthentication, r auth.Request, ses *session) error {
	for range decideTries {
		a.sessions.beginDecision(ses)
		grant, err := a.decider.Decide(ctx, r)
		if err != nil {
			return err
		}
		if err := a.turnAway(r, grant); err != nil {
			return err
		}
		if err := a.register(srv, c, grant); err != nil {
			return err
		}
		if ok, err := a.sessions.admit(srv, ses, grant); ok || err != nil {
			if err == nil {
				a.counts.admitted(grant.Kind)
			}
			return err
		}
	}
	return core.Errorf(core.KindUnavailable, "the user was changed again and again while it connected").WithNext("connect again")
}

// keyForLog keeps foreign text out of the log unless it is a key.
func keyForLog(key string) string {
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
		Signature:           decodeSignature(o.Sig),
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

// decodeSignature decodes what a client sent. Text that cannot be decoded is returned
// as it is, so that it counts as a wrong signature and not as a missing one.
func decodeSignature(text string) []byte {
	if sig, err := base64.RawURLEncoding.DecodeString(text); err == nil {
		return sig
	}
	if sig, err := base64.StdEncoding.DecodeString(text); err == nil {
		return sig
	}
	return []byte(text)
}

// register gives the connection its account and permissions.
func (a *authAdapter) register(srv *server.Server, c server.ClientAuthentication, grant auth.Grant) error {
	acc, err := a.accounts.account(srv, grant)
	if err != nil {
		return err
	}
	c.RegisterUser(&server.User{
		Account:     acc,
		Username:    grant.Identity,
		Permissions: &server.Permissions{Publish: allowOnly(grant.Publish), Subscribe: allowOnly(grant.Subscribe)},
	})
	return nil
}

// allowOnly is an allow-list. An empty one must deny everything, and nats-server
// reads an empty list of subscriptions as "everything".
func allowOnly(subjects []string) *server.SubjectPermission {
	if len(subjects) == 0 {
		return &server.SubjectPermission{Allow: []string{}, Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: subjects}
}
