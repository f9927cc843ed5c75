package node

import (
	"context"
	"math/rand/v2"
	"time"

	"unibus/core"
)

// keyRetention deletes boxes that nobody may need any more: those of epochs that were over
// for core.KeyRetention. Every node of a cluster does it. They begin at different times,
// so that a later one finds nothing left, and a deletion that is made twice does no harm.
type keyRetention struct {
	working background
}

const (
	retentionAfter   = 20 * time.Minute // at most; a node that was just started has other work
	retentionEvery   = 6 * time.Hour
	retentionBatch   = 1000 // boxes that are deleted at a time
	retentionPause   = time.Second
	retentionTimeout = time.Minute // of one batch
)

func (n *Node) openKeyRetention(context.Context) error {
	first, every := time.Minute+rand.N(retentionAfter), retentionEvery-rand.N(retentionAfter)
	if n.cfg.OldKeys > 0 {
		first, every = n.cfg.OldKeys, n.cfg.OldKeys
	}
	ctx := n.retention.working.start()
	n.retention.working.run(func() {
		sleep(ctx, first)
		repeat(ctx, every, func() { n.deleteOldKeys(ctx, time.Now()) })
	})
	return nil
}

func (n *Node) closeKeyRetention(context.Context) error {
	n.retention.working.stop()
	return nil
}

// deleteOldKeys makes one pass. It reads without a proof, which would be a write: a view
// that is behind leads to fewer deletions. A failed deletion is left to the next pass.
func (n *Node) deleteOldKeys(ctx context.Context, now time.Time) {
	deleted := 0
	for ctx.Err() == nil {
		st, err := n.storeHandle.Store()
		if err != nil {
			return // this node serves nothing now
		}
		var some int
		some, err = deleteOldKeysOf(ctx, st, now)
		deleted += some
		if err != nil {
			n.log.Info("old sealed keys were not all deleted; the next pass tries again", "deleted", deleted, "reason", err)
			return
		}
		if some < retentionBatch {
			break
		}
		sleep(ctx, retentionPause)
	}
	if deleted > 0 {
		n.log.Info("sealed keys of epochs that are long over were deleted", "keys", deleted, "after", core.KeyRetention)
	}
}

func deleteOldKeysOf(ctx context.Context, st core.Store, now time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(core.Unproven(ctx), retentionTimeout)
	defer cancel()
	return st.DeleteOldKeys(ctx, core.MillisOf(now.Add(-core.KeyRetention)), retentionBatch)
}
