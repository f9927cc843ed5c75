package kv

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/jsapi"
)

// NoncesBucket remembers the nonces of signed requests.
const NoncesBucket = "UNIBUS_nonces"

const (
	nonceMarker  = time.Second // how long the server's own marker of an expired key stays
	nonceTimeout = 1200 * time.Millisecond
	hdrTTL       = "Nats-TTL"
)

// NoncesConfig is what Nonces needs.
type NoncesConfig struct {
	Conn     *nats.Conn    // in the account that has JetStream; it is not closed
	Replicas int           // of the bucket
	Life     time.Duration // how long a key is remembered, in whole seconds
	Timeout  time.Duration // of Create; 0: 1.2 s
	Budget   time.Duration // of Open; 0: 120 s
	Logger   *slog.Logger  // nil: none
}

// Nonces remembers keys for a while on a majority of the replicas, so that a nonce
// that was used on one node is known on all, whichever node leads.
type Nonces struct {
	bucketClient
	replicas int
	life     time.Duration
}

// NewNonces makes Nonces; nothing is sent before Open.
func NewNonces(c NoncesConfig) *Nonces {
	if c.Timeout <= 0 {
		c.Timeout = nonceTimeout
	}
	n := &Nonces{replicas: c.Replicas, life: c.Life}
	n.api.Conn, n.timeout, n.budget, n.log = c.Conn, c.Timeout, c.Budget, c.Logger
	n.setDefaults()
	return n
}

// Open creates the bucket or opens it, repairs what an update can repair, and
// tries again within the budget. KindRefused where the bucket cannot be used.
func (n *Nonces) Open(ctx context.Context) error {
	if err := checkReplicas(n.replicas, 0); err != nil {
		return err
	}
	if n.life < time.Second {
		return core.Errorf(core.KindInvalid, "nonces cannot be remembered for %s", n.life)
	}
	ctx, cancel := context.WithTimeout(ctx, n.budget)
	defer cancel()
	for {
		err := n.openOnce(ctx)
		if err == nil || core.KindOf(err) == core.KindRefused {
			return err
		}
		n.log.Debug("the bucket is not ready yet", "bucket", NoncesBucket, "err", err)
		if !jsapi.Sleep(ctx, jsapi.Pause) {
			return notOpened(err, NoncesBucket, n.replicas)
		}
	}
}

func (n *Nonces) openOnce(ctx context.Context) error {
	return n.api.EnsureKept(ctx, noncesConfig(n.replicas), func(have jetstream.StreamConfig, replicas int) (jetstream.StreamConfig, error) {
		want, err := repairBucket(NoncesBucket, have, replicas)
		want.AllowMsgTTL, want.SubjectDeleteMarkerTTL = true, nonceMarker
		return want, err
	})
}

// noncesConfig is that of a bucket whose keys expire one by one.
func noncesConfig(replicas int) jetstream.StreamConfig {
	c := bucketConfig(NoncesBucket, replicas)
	c.AllowMsgTTL, c.SubjectDeleteMarkerTTL = true, nonceMarker
	return c
}

// Create remembers a key. KindExists where it was there; KindUnavailable where no answer
// came. Every call writes a value of its own, so that after a try whose answer was lost
// it knows its own write from another call's.
func (n *Nonces) Create(ctx context.Context, key string) error {
	ctx, cancel, err := n.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	m := message{key: key, value: []byte(token()), expect: new(uint64)}
	if err := n.check(NoncesBucket, m); err != nil {
		return err
	}
	for tries := 1; ; tries++ {
		err := n.createOnce(ctx, m)
		switch {
		case err == nil:
			return nil
		case jsapi.IsConflict(err) && tries == 1:
			return errNonceUsed(key)
		case jsapi.IsConflict(err):
			return n.compare(ctx, m)
		}
		if api, ok := errors.AsType[*jsapi.Error](err); ok && !api.IsTransient() {
			return explain(err, "remembering a nonce in "+NoncesBucket)
		}
		if !jsapi.Sleep(ctx, jsapi.Pause) {
			return explain(err, "remembering a nonce in "+NoncesBucket)
		}
	}
}

// compare says whose write a key is that is there after a try without an answer. It is nil
// for this call's own.
func (n *Nonces) compare(ctx context.Context, m message) error {
	e, ok, err := n.last(ctx, NoncesBucket, m.key)
	switch {
	case err != nil, !ok: // a leader that was just deposed may not have it
		return core.Errorf(core.KindUnavailable, "the nonce %s was stored, but the answer to an earlier try was lost: the request may already have been used", m.key)
	case !bytes.Equal(e.value, m.value):
		return errNonceUsed(m.key)
	}
	return nil
}

func errNonceUsed(key string) *core.Error {
	return core.Errorf(core.KindExists, "the nonce %s was used", key)
}

func (n *Nonces) createOnce(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, jsapi.Attempt)
	defer cancel()
	msg := m.encode(NoncesBucket)
	msg.Header.Set(hdrTTL, strconv.Itoa(int(n.life/time.Second)))
	_, err := n.api.Publish(ctx, msg)
	return err
}

// Close ends the use of the bucket; it does not close the connection. Twice is harmless.
func (n *Nonces) Close() error {
	n.closed.Store(true)
	return nil
}
