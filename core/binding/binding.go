// Package binding ties what a client sends to the cluster and the connection that it is
// sent over. A NATS server has its clients sign whatever nonce it likes, so that a
// relay can log in as them. This signature covers the cluster's key and the certificate
// that the client saw, and is worth nothing elsewhere. The clients of the operators'
// and of the control service use it: Dial, Prove after connecting, Sign for each
// request. core/auth says what is signed and how nodes check it. Begin reading at
// Binding.
package binding

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
)

// Request asks a node to prove that it belongs to the cluster.
type Request struct {
	Channel string `json:"channel"` // the connection as the client sees it
	Nonce   string `json:"nonce"`
}

// Proof is the answer.
type Proof struct {
	Cluster   string `json:"cluster"`   // the cluster's public key, C…
	Signature []byte `json:"signature"` // of auth.Challenge
}

// Binding is what one client knows of the cluster at the other end of its
// connection. Safe for several goroutines.
type Binding struct {
	nc *nats.Conn
	id auth.Signer

	mu     sync.Mutex
	key    string
	proven uint64 // the session in which it was proven last; 0: in none
}

// New makes a Binding for the connection of an identity. pin is the public key
// that the cluster must prove; "" takes the first one that it proves.
func New(nc *nats.Conn, id auth.Signer, pin string) *Binding {
	return &Binding{nc: nc, id: id, key: pin}
}

// Key is the cluster's public key: the pinned one, or the one that was proven; "" before.
func (b *Binding) Key() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.key
}

// Prove has the cluster prove its key over this very connection. KindRefused
// where it proves another one than is pinned, or where the answer does not fit
// the connection; the caller then closes the connection. Other errors are ask's.
func (b *Binding) Prove(ctx context.Context, ask func(context.Context, Request) (Proof, error)) error {
	session := b.Session()
	channel, err := b.channel()
	if err != nil {
		return err
	}
	c := auth.Challenge{Channel: channel, Caller: b.id.Public(), Nonce: auth.NewChallengeNonce()}
	p, err := ask(ctx, Request{Channel: channel.String(), Nonce: c.Nonce})
	if err != nil {
		return err
	}
	c.Cluster = p.Cluster
	if err := c.Verify(p.Signature); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.key != "" && b.key != p.Cluster {
		return &Changed{Pinned: b.key, Proven: p.Cluster}
	}
	b.key, b.proven = p.Cluster, session
	return nil
}

// Session counts the connection's sessions, from 1: each reconnect begins another
// one, with the process that accepted the connection.
func (b *Binding) Session() uint64 { return b.nc.Stats().Reconnects + 1 }

// Proven says whether the cluster proved its key in the present session.
func (b *Binding) Proven() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proven == b.Session()
}

// Within runs ask, which looks at Proven and sends a request, and returns its answer.
// The answer counts only if the session is the same before and after: otherwise a
// server sent it that has proven nothing, and the error is nats.ErrConnectionReconnecting.
func (b *Binding) Within(ask func() (*nats.Msg, error)) (*nats.Msg, error) {
	session := b.Session()
	msg, err := ask()
	if err == nil && b.Session() != session {
		return nil, nats.ErrConnectionReconnecting
	}
	return msg, err
}

// Changed says that the cluster proved another key than the one that is pinned.
type Changed struct{ Pinned, Proven string }

// Error says so in words.
func (c *Changed) Error() string { return c.Unwrap().Error() }

// Unwrap is the same as a KindRefused.
func (c *Changed) Unwrap() error {
	return core.Errorf(core.KindRefused, "the cluster proves the key %s, and %s is pinned: either its nodes were set up anew, or this is another cluster; nothing was sent", c.Proven, c.Pinned).
		WithNext("ask the operator of the cluster; only if its key was really replaced, forget the old one")
}

// Sign signs a request for this cluster and connection. KindUnavailable where
// there is no connection.
func (b *Binding) Sign(msg *nats.Msg, now time.Time) error {
	channel, err := b.channel()
	if err != nil {
		return err
	}
	s := auth.NewSigned(b.Key(), channel, msg.Subject, msg.Data, core.MillisOf(now))
	signature, err := auth.Sign(s, b.id.Sign)
	if err != nil {
		return err
	}
	msg.Header = auth.Headers(s, signature)
	return nil
}

func (b *Binding) channel() (auth.Channel, error) {
	state, err := b.nc.TLSConnectionState()
	switch {
	case errors.Is(err, nats.ErrConnectionNotTLS):
		return auth.Channel{}, nil
	case err != nil || len(state.PeerCertificates) == 0:
		return auth.Channel{}, core.Errorf(core.KindUnavailable, "there is no connection to a node just now; nothing was sent").WithNext("try again")
	}
	return auth.ChannelOf(state.PeerCertificates[0].Raw), nil
}
