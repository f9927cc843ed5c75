package migrate

import (
	"context"
	"maps"
	"slices"

	"unibus/core"
)

func (w *fakeCluster) recordWrite(t core.Table, key string) {
	w.lastSequence++
	w.sequences[t][key] = w.lastSequence
}

// fakeTarget2 is a fakeTarget with a history, as the real one has it.
type fakeTarget2 struct{ fakeTarget }

func (f fakeTarget2) LastSequence(_ context.Context, t core.Table) (sequence uint64, kept int, err error) {
	err = f.op("mark", func() error { sequence, kept = f.lastSequence, len(f.sequences[t])+f.internalKeys; return nil })
	return sequence, kept, err
}

func (f fakeTarget2) ReplicaChanges(_ context.Context, t core.Table, node string, after uint64) (rows []core.Row, mechanism, older int, err error) {
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
				older++
			}
		}
		mechanism = f.internalKeys
		return nil
	})
	return rows, mechanism, older, err
}
