package kv

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"unibus/core"
)

// fewKeys is up to how many keys are looked up one by one, instead of by reading
// the table.
const fewKeys = 32

func checkRow(t core.Table, r core.Row) error {
	if r.Table != t {
		return core.Errorf(core.KindInvalid, "a row of %s was to be written to %s", r.Table, t)
	}
	if r.Key == "" || r.Key[0] == '_' {
		return core.Errorf(core.KindInvalid, "%q cannot be a key of a row in %s: keys that begin with _ are not rows", r.Key, t.Bucket())
	}
	return nil
}

// PutRows writes rows of one table, no key twice, in atomic batches of at most
// 1,000 rows and 4 MiB, skips those whose current value is equal, and returns
// how many it wrote. A few are compared one by one; for more the table is read.
// After an error the batches before the failing one are written, and written
// counts them; the failing one itself may be written where the error is KindUnavailable.
func (s *Store) PutRows(ctx context.Context, rows []core.Row) (written int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	t := rows[0].Table
	for _, r := range rows {
		if err := checkRow(t, r); err != nil {
			return 0, err
		}
	}
	same, err := s.equalKeys(ctx, t, rows)
	if err != nil {
		return 0, err
	}
	var writes []message
	for _, r := range rows {
		if _, ok := same[r.Key]; !ok {
			writes = append(writes, message{key: r.Key, value: r.Value})
		}
	}
	return s.commit(ctx, t, writes, batchBytes, s.asCopier)
}

// equalKeys returns those of the rows that the table has already, with the same
// value.
func (s *Store) equalKeys(ctx context.Context, t core.Table, rows []core.Row) (map[string]struct{}, error) {
	same := map[string]struct{}{}
	if len(rows) <= fewKeys {
		for _, r := range rows {
			e, ok, err := s.lookUp(ctx, t, r.Key)
			if err != nil {
				return nil, err
			}
			if ok && bytes.Equal(e.value, r.Value) {
				same[r.Key] = struct{}{}
			}
		}
		return same, nil
	}
	rows = slices.SortedFunc(slices.Values(rows), func(a, b core.Row) int { return strings.Compare(a.Key, b.Key) })
	for have, err := range s.Keys(ctx, t) {
		if err != nil {
			return nil, err
		}
		for len(rows) > 0 && rows[0].Key < have.Key {
			rows = rows[1:]
		}
		if len(rows) > 0 && rows[0].Key == have.Key && bytes.Equal(rows[0].Value, have.Value) {
			same[have.Key] = struct{}{}
		}
	}
	return same, nil
}

// WriteRows writes rows of one table in atomic batches without reading what is there:
// for a caller that has compared already, as a migration has. It does not wait for this
// node's watch: the rows that it wrote are read from replicas.
func (s *Store) WriteRows(ctx context.Context, rows []core.Row) (written int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	writes := make([]message, len(rows))
	for i, r := range rows {
		if err := checkRow(rows[0].Table, r); err != nil {
			return 0, err
		}
		writes[i] = message{key: r.Key, value: r.Value}
	}
	written, _, err = s.commitOnly(ctx, rows[0].Table, writes, batchBytes, s.asCopier)
	return written, err
}

func (s *Store) lookUp(ctx context.Context, t core.Table, key string) (entry, bool, error) {
	if err := s.check(t.Bucket(), message{key: key}); err != nil {
		return entry{}, false, err
	}
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return entry{}, false, err
	}
	defer cancel()
	return s.get(ctx, t.Bucket(), key)
}

// DeleteKeys deletes those of the keys that are there, and returns how many there
// were. Only a migration may do this, before anything decides from the store:
// elsewhere a removal is a state, but for old boxes (DeleteOldKeys). A delete marker stays in the bucket.
func (s *Store) DeleteKeys(ctx context.Context, t core.Table, keys []string) (int, error) {
	for _, key := range keys {
		if err := checkRow(t, core.Row{Table: t, Key: key}); err != nil {
			return 0, err
		}
	}
	there, err := s.existing(ctx, t, keys)
	if err != nil {
		return 0, err
	}
	var writes []message
	for i, key := range keys {
		if there[i] {
			writes = append(writes, message{key: key, remove: true})
		}
	}
	done, _, err := s.commitOnly(ctx, t, writes, batchBytes, s.asCopier)
	return done, err
}

// parallelLookups is how many keys are looked up at a time.
const parallelLookups = 16

// existing looks keys up, several at a time, without reading the table.
func (s *Store) existing(ctx context.Context, t core.Table, keys []string) ([]bool, error) {
	there, errs := make([]bool, len(keys)), make([]error, len(keys))
	var all sync.WaitGroup
	for from := range min(parallelLookups, len(keys)) {
		all.Go(func() {
			for i := from; i < len(keys); i += parallelLookups {
				if _, there[i], errs[i] = s.lookUp(ctx, t, keys[i]); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return there, nil
}

// Keys returns the rows of a table as its leader has them, in bytewise key order.
// An error is the last thing that comes.
func (s *Store) Keys(ctx context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		rows, few, err := s.fewRows(ctx, t)
		switch {
		case err != nil:
			yield(core.Row{}, err)
			return
		case !few:
			s.ReplicaRows(ctx, t, "")(yield)
			return
		}
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// fewRows reads a nearly empty bucket, as a migration finds it, message by message. A
// consumer would cost the meta group synced writes, and most of a second where five are
// made at once. few is false where the bucket has to be read otherwise: it has many
// keys, is written meanwhile, or was not shown whole.
func (s *Store) fewRows(ctx context.Context, t core.Table) (rows []core.Row, few bool, err error) {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return nil, false, err
	}
	defer cancel()
	bucket := t.Bucket()
	info, err := s.bucketInfo(ctx, bucket)
	if err != nil || info.State.Messages > fewKeys {
		return nil, false, err
	}
	last, keys := uint64(0), map[string]bool{}
	for {
		e, found, err := s.firstFrom(ctx, bucket, last+1)
		if err != nil {
			return nil, false, explain(err, "reading "+bucket)
		}
		if !found {
			break
		}
		if keys[e.key] || e.rev > info.State.LastSeq {
			return nil, false, nil
		}
		last, keys[e.key] = e.rev, true
		if e.key[0] != '_' && !e.deleted {
			rows = append(rows, core.Row{Table: t, Key: e.key, Value: e.value})
		}
	}
	slices.SortFunc(rows, func(a, b core.Row) int { return strings.Compare(a.Key, b.Key) })
	return rows, info.State.Messages == 0 || last == info.State.LastSeq, nil
}

// ReplicaRows returns the rows of a table as one node's own replica has them, in
// bytewise key order; node "" reads any replica that has what the leader has. It
// waits some operation timeouts for a replica that lags. KindUnavailable, as the
// last thing that comes, where the node has no replica or does not answer. The
// table is read before the first row comes, and never held in memory: see
// Config.TempDir.
func (s *Store) ReplicaRows(ctx context.Context, t core.Table, node string) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		stop := errors.New("stop")
		err := s.eachRow(ctx, t, scan{bucket: t.Bucket(), filter: everything, node: node}, func(r core.Row) error {
			if !yield(r, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(core.Row{}, err)
		}
	}
}

// eachRow hands out a scan in key order, without deleted and internal keys.
func (s *Store) eachRow(ctx context.Context, t core.Table, q scan, do func(core.Row) error) error {
	in := newSorter(s.tempDir, s.memory)
	defer in.close()
	if err := s.run(ctx, q, in.addRow); err != nil {
		return err
	}
	return in.each(func(e entry) error { return do(core.Row{Table: t, Key: e.key, Value: e.value}) })
}

// addRow is add without the internal keys.
func (s *sorter) addRow(e entry) error {
	if e.key[0] == '_' {
		return nil
	}
	return s.add(e)
}
