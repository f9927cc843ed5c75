package kv

import (
	"context"
	"time"

	"unibus/core"
)

// replicaReaderIdle is how long the server keeps an unused reader.
const replicaReaderIdle = 2 * time.Minute

// ReplicaReader reads, again and again, what one replica receives after a
// sequence. It is placed on the replica once: the server places readers where it
// likes, and it takes many tries to get one on a certain node. It is for one
// goroutine at a time.
type ReplicaReader struct {
	store  *Store
	table  core.Table
	scan   scan
	after  uint64
	reader string
	pull   *pullReader
	seen   uint64
	latest latestRows

	internal, older int // counted when the reader opened
}

// OpenReplicaReader places a reader on a node's replica and reads what it has
// already. KindUnavailable if the replica cannot be reached; KindConflict as for
// ReplicaChanges. The caller ends with Close.
func (s *Store) OpenReplicaReader(ctx context.Context, t core.Table, node string, after uint64) (*ReplicaReader, error) {
	p := &ReplicaReader{store: s, table: t, scan: scan{bucket: t.Bucket(), filter: everything, node: node}, after: after, latest: latestRows{at: map[string]int{}}}
	end, err := s.newestSince(ctx, p.scan, after)
	if err != nil {
		return nil, err
	}
	kept, internal, err := s.countReplica(ctx, p.scan)
	if err != nil {
		return nil, err
	}
	p.reader, _, err = s.placeReader(ctx, p.scan, startingAfter(after, end, replicaReaderIdle))
	if err != nil {
		return nil, explain(err, p.scan.doing())
	}
	if p.pull, err = s.newPullReader(p.scan, p.reader); err == nil {
		err = p.read(ctx, end)
	}
	if err != nil {
		p.Close()
		return nil, explain(err, p.scan.doing())
	}
	p.internal, p.older = internal, kept-len(p.latest.rows)
	return p, nil
}

// Changes is ReplicaChanges by this reader, except that the keys are counted once,
// when it opened: rows that were overwritten since still count as unchanged.
func (p *ReplicaReader) Changes(ctx context.Context) (rows []core.Row, internal, older int, err error) {
	end, err := p.store.newestSince(ctx, p.scan, p.after)
	if err == nil && end > p.seen {
		err = explain(p.read(ctx, end), p.scan.doing())
	}
	return p.latest.rows, p.internal, p.older, err
}

func (p *ReplicaReader) read(ctx context.Context, end uint64) error {
	return p.pull.drain(ctx, p.scan, end, func(e entry) error {
		p.seen = max(p.seen, e.rev)
		if e.rev > p.after {
			p.latest.add(p.table, e)
		}
		return nil
	})
}

// Close removes the reader.
func (p *ReplicaReader) Close() {
	if p.pull != nil {
		p.pull.close()
	}
	p.store.discard(p.scan.bucket, p.reader)
}
