package kv

import (
	"context"
	"errors"

	"unibus/core"
)

// errUnordered says that rows did not come in the order of their keys.
var errUnordered = errors.New("not in the order of keys")

// ReplicaDigest is the digest of what ReplicaRows would return. Rows come in the
// order of their writing, which after a migration's copy is that of their keys:
// then they are digested as they come, and nothing is sorted.
func (s *Store) ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error) {
	sum := newOrderedDigest()
	err := s.run(ctx, scan{bucket: t.Bucket(), filter: everything, node: node}, sum.add)
	if err == nil {
		return sum.rows.Sum()
	}
	if !errors.Is(err, errUnordered) {
		return core.Digest{}, err
	}
	rows := core.NewDigester()
	for r, err := range s.ReplicaRows(ctx, t, node) {
		if err != nil {
			return core.Digest{}, err
		}
		rows.Add(r.Key, r.Value)
	}
	return rows.Sum()
}

// orderedDigest digests rows as long as their keys come in ascending order.
type orderedDigest struct {
	rows *core.Digester
	last string
}

func newOrderedDigest() *orderedDigest { return &orderedDigest{rows: core.NewDigester()} }

// add takes delete markers too: one may remove a row that came before it.
func (r *orderedDigest) add(e entry) error {
	switch {
	case e.key[0] == '_':
	case e.key <= r.last:
		return errUnordered
	case e.deleted:
	default:
		r.rows.Add(e.key, e.value)
		r.last = e.key
	}
	return nil
}
