package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/auth"
	"unibus/core/store/kv"
)

// auditFile is where a node alone keeps the audit. A node of a cluster keeps a copy of
// the cluster's audit there, and records that it could not put into the stream yet.
const auditFile = "audit.jsonl"

// clusterNonces is the bucket in which each nonce is created once.
type clusterNonces struct {
	bucket  *kv.Nonces // nil on a node alone
	opening background
}

// openAudit opens what an operator's action needs before it is done: the audit, and
// the check that its request is new.
func (n *Node) openAudit(ctx context.Context) error {
	var conn *nats.Conn
	replicas := internalReplicas(n.cfg.Replicas, n.cfg.Size())
	if n.cfg.Clustered() {
		conn = n.conns.audit // alone there is no JetStream
	}
	n.audit = audit.New(audit.Config{
		Conn: conn, Replicas: replicas, Node: n.cfg.Name, File: filepath.Join(n.cfg.Data, auditFile),
		Now: func() core.Millis { return core.MillisOf(time.Now()) }, Logger: n.log, Records: n.cfg.LogFormat == "json",
		Key:     func() (audit.Signer, bool) { return n.clusterKey.get() },
		LastSeq: func() (uint64, bool) { return n.bus.LastSeq(audit.Stream) },
	})
	if err := n.audit.Open(ctx); err != nil { // before the goroutine of the nonces: a part that fails is not closed
		return err
	}
	if n.cfg.Clustered() {
		n.nonces.bucket = kv.NewNonces(kv.NoncesConfig{Conn: n.conns.store, Replicas: replicas, Life: auth.NonceLife, Budget: openTimeout, Logger: n.log})
		ctx := n.nonces.opening.start()
		// Until the bucket is open no nonce is accepted, and only what restores a quorum is done.
		n.nonces.opening.run(func() { n.retryUntil(ctx, "the bucket of used requests cannot be opened yet", n.nonces.bucket.Open) })
	}
	n.replay = n.newReplay()
	return nil
}

func (n *Node) closeAudit(context.Context) error {
	err := n.audit.Close()
	n.nonces.opening.stop()
	if n.nonces.bucket != nil {
		err = errors.Join(err, n.nonces.bucket.Close())
	}
	return err
}

// newReplay returns a check that each signed request is new in this cluster. Each service
// has its own, because each has a memory of its own: users must not fill that of operators.
func (n *Node) newReplay() *auth.Replay {
	r := &auth.Replay{
		Node: n.cfg.Name, Cluster: n.clusterKey.Public, Await: n.clusterKey.await, IsClusterChannel: n.isClusterChannel,
		Own: auth.NewMemory(time.Now), Now: time.Now,
	}
	if n.nonces.bucket != nil {
		r.Nonces = n.nonces.bucket
	}
	return r
}
