package kv

import (
	"context"

	"unibus/core"
)

// Revision is the revision of a table up to which this node's watch has come. After
// a write of this Store it is that of the write, or a later one; 0 before the first watch.
func (s *Store) Revision(t core.Table) uint64 {
	wb := s.buckets[t]
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	if wb.cur == nil {
		return 0
	}
	return wb.cur.table.seq
}

// AwaitChanges returns once this node's watch of a table has passed a revision and
// OnChange has returned for every change up to it. Revision 0 stands for everything
// that was acknowledged before the call, which costs a proof. OnChange must not call it.
func (s *Store) AwaitChanges(ctx context.Context, t core.Table, revision uint64) error {
	wb, err := s.readyBucket(ctx, t)
	if err != nil {
		return err
	}
	if revision == 0 {
		err = wb.prove(ctx)
	} else {
		err = wb.awaitSeq(ctx, revision)
	}
	if err == nil {
		err = s.changes.flush(ctx)
	}
	return explain(err, "waiting for the changes of "+wb.bucket)
}
