package migrate

import (
	"context"
	"iter"
	"maps"
	"slices"

	"unibus/core"
)

// fakeTarget is the target of a fakeCluster, with a history and with guards.
type fakeTarget struct{ *fakeCluster }

func (f fakeTarget) Prepare(context.Context, int) error {
	return f.op("prepare", func() error { return nil })
}

func (f fakeTarget) Rows(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return f.seq("target.rows", func() []core.Row { return f.target.rows(t) })
}

func (f fakeTarget) PutRows(_ context.Context, rows []core.Row) (int, error) {
	err := f.op("put", func() error {
		for _, r := range rows {
			f.target[r.Table][r.Key] = r.Value
			f.recordWrite(r.Table, r.Key)
		}
		f.puts += len(rows)
		return nil
	})
	return len(rows), err
}

func (f fakeTarget) DeleteKeys(_ context.Context, t core.Table, keys []string) (int, error) {
	err := f.op("delete", func() error {
		for _, k := range keys {
			delete(f.target[t], k)
			f.recordWrite(t, k)
		}
		return nil
	})
	return len(keys), err
}

func (f fakeTarget) Nodes(_ context.Context, t core.Table) ([]string, error) {
	return []string{"n1", "n2", "n3"}, f.op("nodes", func() error {
		switch {
		case f.bucketsMissing:
			return core.Errorf(core.KindNotFound, "there is no bucket %s", t.Bucket())
		case f.leaderless == t:
			return core.Errorf(core.KindUnavailable, "%s has no leader", t.Bucket())
		}
		return nil
	})
}

func (f fakeTarget) ReplicaRows(_ context.Context, t core.Table, node string) iter.Seq2[core.Row, error] {
	return f.seq("replica.rows", func() []core.Row {
		if other, ok := f.replicaOverrides[node][t]; ok {
			return other.rows(t)
		}
		return f.target.rows(t)
	})
}

// ReplicaDigest counts as an operation replica.rows.
func (f fakeTarget) ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error) {
	return digestOf(f.ReplicaRows(ctx, t, node))
}

func (f fakeTarget) BucketBytes(context.Context) (size int64, err error) {
	f.locked(func() { size = f.bucketBytes })
	return size, nil
}

func (w *fakeCluster) recordWrite(t core.Table, key string) {
	w.lastSequence++
	w.sequences[t][key] = w.lastSequence
}

func (f fakeTarget) LastSequence(_ context.Context, t core.Table) (sequence uint64, kept int, err error) {
	err = f.op("mark", func() error { sequence, kept = f.lastSequence, len(f.sequences[t])+f.internalKeys; return nil })
	return sequence, kept, err
}

func (f fakeTarget) ReplicaChanges(_ context.Context, t core.Table, node string, after uint64) (rows []core.Row, internal, unchanged int, err error) {
	err = f.op("since", func() error {
		if after > f.lastSequence {
			return core.Errorf(core.KindConflict, "the table was made anew")
		}
		held := f.target
		if other, ok := f.replicaOverrides[node][t]; ok {
			held = other
		}
		for _, k := range slices.Sorted(maps.Keys(f.sequences[t])) {
			_, there := held[t][k]
			switch _, wanted := f.target[t][k]; {
			case wanted && !there: // the replica lost it
			case f.sequences[t][k] > after:
				rows = append(rows, core.Row{Table: t, Key: k, Value: held[t][k]})
			default:
				unchanged++
			}
		}
		internal = f.internalKeys
		return nil
	})
	return rows, internal, unchanged, err
}

// OpenReplicaReader counts the keys when the reader opens, as the real one does.
func (f fakeTarget) OpenReplicaReader(ctx context.Context, t core.Table, node string, after uint64) (ReplicaReader, error) {
	_, internal, unchanged, err := f.ReplicaChanges(ctx, t, node, after)
	return fakeReader{fakeTarget: f, table: t, node: node, after: after, internal: internal, unchanged: unchanged}, err
}

type fakeReader struct {
	fakeTarget
	table               core.Table
	node                string
	after               uint64
	internal, unchanged int
}

func (r fakeReader) Changes(ctx context.Context) (rows []core.Row, internal, unchanged int, err error) {
	rows, _, _, err = r.ReplicaChanges(ctx, r.table, r.node, r.after)
	return rows, r.internal, r.unchanged, err
}

func (fakeReader) Close() {}

// fakeGuards are the guards of all buckets.
type fakeGuards struct {
	generation uint64
	open       bool
}

func (f fakeTarget) Shut(_ context.Context, generation uint64) error {
	return f.op("shut", func() error {
		if f.guards.generation > generation || f.guards.generation == generation && f.guards.open {
			return core.Errorf(core.KindConflict, "held for generation %d", f.guards.generation)
		}
		f.guards.generation, f.guards.open = generation, false
		return nil
	})
}

func (f fakeTarget) ExportRows(_ context.Context, each func(core.Row) error) error {
	var rows []core.Row
	err := f.op("export", func() error {
		for _, t := range []core.Table{core.TableMembers, core.TableRooms, core.TableRoomKeys, core.TableUsers} {
			rows = append(rows, f.target.rows(t)...)
		}
		return nil
	})
	for _, r := range rows {
		if err == nil {
			err = each(r)
		}
	}
	return err
}

// openGuards opens them as a node does that serves KV. The caller holds the lock.
func (w *fakeCluster) openGuards() {
	if w.authority.Backend == core.BackendKV {
		w.guards.generation, w.guards.open = max(w.guards.generation, w.authority.Generation), w.guards.generation <= w.authority.Generation
	}
}
