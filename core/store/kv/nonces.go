package kv

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
)

// NoncesBucket remembers which signed requests were used.
const NoncesBucket = "UNIBUS_nonces"

const (
	nonceMarker  = time.Second // how long the server's own marker of an expired key stays
	nonceTimeout = 1200 * time.Millisecond
	hdrTTL       = "Nats-TTL"
)

// NoncesConfig is what Nonces needs.
type NoncesConfig struct {
	Conn     *nats.Conn    // in the account that has JetStream; it is not closed
	Replicas int           // 3, or as many as there are nodes where these are fewer
	Life     time.Duration // of a nonce: as long as whoever asks may see its request again
	Timeout  time.Duration // of Create; 0: 1.2 s
	Budget   time.Duration // of Open; 0: 120 s
	Logger   *slog.Logger  // nil: none
}

// Nonces remembers keys for their life on a majority of the replicas, so that
// what was used on one node is known on all, whoever leads.
type Nonces struct {
	wire
	replicas int
	life     time.Duration
}

// NewNonces makes Nonces; nothing is sent before Open.
func NewNonces(c NoncesConfig) *Nonces {
	if c.Timeout <= 0 {
		c.Timeout = nonceTimeout
	}
	n := &Nonces{replicas: c.Replicas, life: c.Life}
	n.nc, n.timeout, n.budget, n.log = c.Conn, c.Timeout, c.Budget, c.Logger
	n.setDefaults()
	return n
}

// Open creates the bucket or opens it, mends what an update can mend, and tries
// again within the budget. KindRefused where the bucket cannot be used.
func (n *Nonces) Open(ctx context.Context) error {
	if err := checkReplicas(n.replicas, 0); err != nil {
		return err
	}
	if n.life < time.Second {
		return core.Errorf(core.KindInvalid, "a nonce cannot be remembered for %s", n.life)
	}
	ctx, cancel := context.WithTimeout(ctx, n.budget)
	defer cancel()
	for {
		err := n.openOnce(ctx)
		if err == nil || core.KindOf(err) == core.KindRefused {
			return err
		}
		n.log.Debug("the bucket is not ready yet", "bucket", NoncesBucket, "err", err)
		if !sleep(ctx, pause) {
			return notOpened(err, NoncesBucket, n.replicas)
		}
	}
}

func (n *Nonces) openOnce(ctx context.Context) error {
	info, err := n.streamInfo(ctx, NoncesBucket, attempt)
	if answered(err, codeStreamNotFound) {
		return n.configure(ctx, "STREAM.CREATE.", noncesConfig(n.replicas))
	}
	if err != nil {
		return err
	}
	want, _, err := mend(NoncesBucket, info.Config, n.replicas)
	if err != nil {
		return err
	}
	want.AllowMsgTTL, want.SubjectDeleteMarkerTTL = true, nonceMarker
	if sameConfig(want, info.Config) {
		return nil
	}
	err = n.configure(ctx, "STREAM.UPDATE.", want)
	if answered(err, codeNoPeers) && want.Replicas > info.Config.Replicas {
		want.Replicas = info.Config.Replicas // the rest must not wait for nodes
		if sameConfig(want, info.Config) {
			return nil
		}
		return n.configure(ctx, "STREAM.UPDATE.", want)
	}
	return err
}

// noncesConfig is that of a bucket whose keys expire one by one.
func noncesConfig(replicas int) jetstream.StreamConfig {
	c := bucketConfig(NoncesBucket, replicas)
	c.AllowMsgTTL, c.SubjectDeleteMarkerTTL = true, nonceMarker
	return c
}

// Create remembers a key. KindExists where it was there; KindUnavailable where
// no answer came, or where it is there after a try that was not answered: then
// it may be this call's own, or somebody else's, and nobody can say.
func (n *Nonces) Create(ctx context.Context, key string) error {
	ctx, cancel, err := n.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	m := message{key: key, expect: new(uint64)}
	if err := n.check(NoncesBucket, m); err != nil {
		return err
	}
	for tries := 1; ; tries++ {
		err := n.createOnce(ctx, m)
		switch {
		case err == nil:
			return nil
		case isConflict(err) && tries == 1:
			return core.Errorf(core.KindExists, "the nonce %s was used", key)
		case isConflict(err):
			return core.Errorf(core.KindUnavailable, "the nonce %s is there after a try that was not answered: who wrote it is not known", key)
		}
		if api, ok := errors.AsType[*apiError](err); ok && !isTransient(api) {
			return fault(err, "remembering a nonce in "+NoncesBucket)
		}
		if !sleep(ctx, pause) {
			return unknownOutcome(err, "remembering a nonce in "+NoncesBucket)
		}
	}
}

func (n *Nonces) createOnce(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	msg := m.encode(NoncesBucket)
	msg.Header.Set(hdrTTL, strconv.Itoa(int(n.life/time.Second)))
	reply, err := n.send(ctx, msg)
	if err != nil {
		return err
	}
	return decodeAnswer(reply, nil)
}

// Close ends the use of the bucket; it does not close the connection. Twice is harmless.
func (n *Nonces) Close() error {
	n.closed.Store(true)
	return nil
}
