package node

import (
	"context"
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// endExpiredOperators ends the sessions of operators whose keys end while they are
// connected. The authenticator refuses such a key by the clock; only sessions that
// are open need somebody to end them.
func (n *Node) endExpiredOperators(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := core.MillisOf(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := core.MillisOf(time.Now())
		for _, op := range *n.operators.Load() {
			if op.Ended(now) && !op.Ended(last) {
				n.endExpired(op)
			}
		}
		last = now
	}
}

func (n *Node) endExpired(op core.Operator) {
	text := fmt.Sprintf("the key of the operator %s (%s) has ended, %d sessions ended", op.Name, op.Role, n.bus.DisconnectUser(op.Key))
	n.log.Info(text, "key", op.Key)
	if n.peers != nil {
		eyes{n}.Note(cluster.Note, "node."+n.cfg.Name, text)
	}
}
