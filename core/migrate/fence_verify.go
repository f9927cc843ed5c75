package migrate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// verifyChanges proves that every replica of every table received the changes and
// nothing else since verify, and still has the rest. All replicas are read at the
// same time, because each read mostly waits for servers.
func (j *Job) verifyChanges(ctx context.Context, pool *replicaReaderPool, found []tableChanges) error {
	var wg sync.WaitGroup
	parity, errs := make([]Parity, len(found)), make([]error, len(found))
	for i, c := range found {
		wg.Go(func() { parity[i], errs[i] = j.verifyTableChanges(ctx, pool, c) })
	}
	wg.Wait()
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	return j.requireParity(parity)
}

// verifyTableChanges reads again if something differs: a new internal key that one
// replica has not received yet looks like a missing row.
func (j *Job) verifyTableChanges(ctx context.Context, pool *replicaReaderPool, c tableChanges) (Parity, error) {
	nodes, err := j.replicaNodes(ctx, c.table)
	if err != nil {
		return Parity{}, err
	}
	for try := 1; ; try++ {
		found := j.verifyReplicas(ctx, pool, c, nodes)
		p, err := parityOf(c.table, c.source, found)
		p.Changed = len(c.want)
		if err != nil || p.Equal() || try >= j.cfg.Limits.ReplicaReads {
			return p, err
		}
		pool.closeTable(c.table)
		if err := sleep(ctx, j.cfg.Limits.PollInterval); err != nil {
			return p, err
		}
	}
}

func (j *Job) verifyReplicas(ctx context.Context, pool *replicaReaderPool, c tableChanges, nodes []string) []replicaComparison {
	var wg sync.WaitGroup
	found, unchanged := make([]replicaComparison, len(nodes)), make([]int, len(nodes))
	for i, n := range nodes {
		wg.Go(func() { found[i], unchanged[i] = j.verifyReplica(ctx, pool, c, n) })
	}
	wg.Wait()
	for i := range found {
		found[i].addLostKeys(slices.Max(unchanged) - unchanged[i])
		found[i].setDigest(c)
	}
	return found
}

// verifyReplica compares the changed keys by value and counts the others. An
// unchanged key can only disappear by being overwritten, so the counts show a loss.
func (j *Job) verifyReplica(ctx context.Context, pool *replicaReaderPool, c tableChanges, node string) (r replicaComparison, unchanged int) {
	r.node = node
	r.failure = j.retry(ctx, func(ctx context.Context) error {
		rows, internal, kept, err := pool.changes(ctx, c.table, node)
		if err != nil {
			return err
		}
		unchanged = kept
		r.compareChanges(c, valuesByKey(rows))
		r.addLostKeys(c.mark.KeptKeys - kept - len(rows) - internal)
		return nil
	})
	return r, unchanged
}

// addLostKeys reports that a replica lacks n of the keys that were not changed.
func (r *replicaComparison) addLostKeys(n int) {
	if n > 0 {
		r.missing = appendLimited(r.missing, fmt.Sprintf("%s/(%s, not changed since verify)", r.node, count(n, "key")))
	}
}

// setDigest sets the source's digest on a replica without differences: the verified
// rows, plus the changes since, are the source.
func (r *replicaComparison) setDigest(c tableChanges) {
	if len(r.missing)+len(r.different)+len(r.extra) == 0 {
		r.digest = c.source
	}
}

// compareChanges compares what a replica received since the mark with what it should have received.
func (r *replicaComparison) compareChanges(c tableChanges, have map[string][]byte) {
	for _, key := range slices.Sorted(maps.Keys(c.want)) {
		now, there := have[key]
		name := r.node + "/" + key
		switch want := c.want[key]; {
		case there && sameValue(want, now):
		case want == nil:
			r.extra = appendLimited(r.extra, name)
		case now == nil:
			r.missing = appendLimited(r.missing, name)
		default:
			r.different = appendLimited(r.different, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, known := c.want[key]; !known {
			r.extra = appendLimited(r.extra, r.node+"/"+key)
		}
	}
}
