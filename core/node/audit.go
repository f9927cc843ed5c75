package node

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/auth"
	"unibus/core/store/kv"
)

// auditFile is where a node alone keeps the audit, and one in a cluster what it
// could not put into the stream yet.
const auditFile = "audit.jsonl"

// proof is what an action needs before it is done: that the request is new, and the audit.
type proof struct {
	log    *audit.Log
	guard  *auth.Replay
	nonces *kv.Nonces // nil on a node alone

	end  context.CancelFunc
	work sync.WaitGroup
}

func (n *Node) openAudit(ctx context.Context) error {
	var conn *nats.Conn
	replicas := min(3, n.cfg.Size())
	if n.cfg.Clustered() {
		conn = n.conns.audit // alone there is no JetStream
	}
	n.proof.log = audit.New(audit.Config{
		Conn: conn, Replicas: replicas, Node: n.cfg.Name, File: filepath.Join(n.cfg.Data, auditFile),
		Now: func() core.Millis { return core.MillisOf(time.Now()) }, Logger: n.log,
	})
	if n.cfg.Clustered() {
		n.proof.nonces = kv.NewNonces(kv.NoncesConfig{Conn: n.conns.store, Replicas: replicas, Life: auth.NonceLife, Budget: openTimeout, Logger: n.log})
		run, end := context.WithCancel(context.Background())
		n.proof.end = end
		n.proof.work.Go(func() { n.openNonces(run) })
	}
	n.proof.guard = n.newReplay(n.proof.nonces)
	return n.proof.log.Open(ctx)
}

// openNonces makes the bucket, for as long as that takes. Until then no nonce is
// taken, and nothing but what restores a quorum is done.
func (n *Node) openNonces(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.proof.nonces.Open(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		n.log.Warn("the bucket of used requests cannot be opened yet", "error", err)
		n.plane.pause(ctx)
	}
}

func (n *Node) closeAudit(context.Context) error {
	err := n.proof.log.Close()
	if n.proof.nonces != nil {
		n.proof.end()
		n.proof.work.Wait()
		err = errors.Join(err, n.proof.nonces.Close())
	}
	return err
}
