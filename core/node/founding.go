package node

import (
	"context"
	"time"
)

// silentRoutesEvery is how often the addresses of --routes are tried while the cluster
// has never had a leader.
const silentRoutesEvery = 3 * time.Second

// watchFounding finds the addresses at which a new cluster still lacks a node, until it has
// its first leader.
func (n *Node) watchFounding(ctx context.Context) {
	for ctx.Err() == nil && n.observer.View().Meta.Last == "" {
		silent := n.bus.SilentRoutes(ctx)
		n.silentRoutes.Store(&silent)
		sleep(ctx, silentRoutesEvery)
	}
	n.silentRoutes.Store(nil)
}
