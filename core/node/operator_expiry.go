package node

import (
	"context"
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// expiryPoll is how long a session may outlast its operator's key.
const expiryPoll = time.Second

// endExpiredOperators ends the sessions of operators whose keys end while they are
// connected. The authenticator refuses such a key by the clock, and leaves open sessions.
func (n *Node) endExpiredOperators(ctx context.Context) {
	last := core.MillisOf(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(core.UntilTick(expiryPoll)):
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
		clusterView{n}.Note(cluster.Note, "node."+n.cfg.Name, text)
	}
}
